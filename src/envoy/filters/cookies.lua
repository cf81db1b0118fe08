-- Changes what answers set as cookies, and where they lead. It is one script for all routes: what a route asks for is data, in the filter's
-- context, and no part of a program or of a pattern. Every step is linear in what the answer has.

local function trim(text)
  local first = text:find("%S")
  if not first then
    return ""
  end
  local last = #text
  while text:byte(last) == 32 or text:byte(last) == 9 do
    last = last - 1
  end
  return text:sub(first, last)
end

local function split(text)
  local parts, from = {}, 1
  while true do
    local at = text:find(";", from, true)
    if not at then
      parts[#parts + 1] = trim(text:sub(from))
      return parts
    end
    parts[#parts + 1] = trim(text:sub(from, at - 1))
    from = at + 1
  end
end

-- What stands before the first `=`, and behind it.
local function pair(text)
  local at = text:find("=", 1, true)
  if not at then
    return text, nil
  end
  return trim(text:sub(1, at - 1)), trim(text:sub(at + 1))
end

local function domain_of(value)
  if value:byte(1) == 46 then
    value = value:sub(2)
  end
  return value:lower()
end

-- What becomes of an attribute with this value: the first rule that says anything about it.
local function decide(rules, attribute, value)
  for _, rule in ipairs(rules) do
    local new, from = rule[attribute], rule[attribute .. "_from"]
    if new then
      if not from then
        return new
      elseif value and attribute == "path" and value:sub(1, #from) == from then
        return new .. value:sub(#from + 1)
      elseif value and attribute == "domain" and domain_of(value) == domain_of(from) then
        return new
      end
    end
  end
  return nil
end

-- The attributes that rules are about, in the order in which missing ones are added.
local VALUES = { { "path", "Path", "path" }, { "domain", "Domain", "domain" } }
local FLAGS = { { "secure", "Secure" }, { "httponly", "HttpOnly" } }
local SAME_SITE = { "samesite", "SameSite" }

local function rewrite(cookie, all)
  local parts = split(cookie)
  local name, value = pair(parts[1])
  if not value then
    return cookie
  end
  local rules = {}
  for _, rule in ipairs(all) do
    if not rule.cookie or rule.cookie == name then
      rules[#rules + 1] = rule
    end
  end
  local out, seen, changed = { parts[1] }, {}, false
  local function put(attribute, old, new)
    if seen[attribute] then
      changed = true
      return
    end
    seen[attribute] = true
    changed = changed or old ~= new
    out[#out + 1] = new
  end
  for index = 2, #parts do
    local part = parts[index]
    local key, of_key = pair(part)
    key = key:lower()
    local said, shown = nil, nil
    if key == "path" or key == "domain" then
      said = decide(rules, key, of_key or "")
      shown = said and (key == "path" and "Path=" or "Domain=") .. said
    elseif key == "secure" or key == "httponly" then
      said = decide(rules, key, nil)
      shown = said == "true" and part or nil
    elseif key == "samesite" then
      said = decide(rules, key, nil)
      shown = said and "SameSite=" .. said
    end
    if not said then
      if part ~= "" then
        out[#out + 1] = part
        seen[key] = true
      end
    elseif shown then
      put(key, part, shown)
    else
      changed = true
    end
  end
  for _, attribute in ipairs(VALUES) do
    local said = not seen[attribute[1]] and decide(rules, attribute[1], nil)
    if said then
      put(attribute[1], nil, attribute[2] .. "=" .. said)
    end
  end
  for _, attribute in ipairs(FLAGS) do
    if not seen[attribute[1]] and decide(rules, attribute[1], nil) == "true" then
      put(attribute[1], nil, attribute[2])
    end
  end
  local said = not seen[SAME_SITE[1]] and decide(rules, SAME_SITE[1], nil)
  if said then
    put(SAME_SITE[1], nil, SAME_SITE[2] .. "=" .. said)
  end
  if not changed then
    return cookie
  end
  return table.concat(out, "; ")
end

-- What begins so begins otherwise; nil for what does not.
local function led(value, said)
  if value and value:sub(1, #said.from) == said.from then
    return said.to .. value:sub(#said.from + 1)
  end
  return nil
end

local function lead(headers, said)
  local location = led(headers:get("location"), said)
  if location then
    headers:replace("location", location)
  end
  local refresh = headers:get("refresh")
  local _, last = (refresh or ""):lower():find("url=", 1, true)
  local url = last and led(refresh:sub(last + 1), said)
  if url then
    headers:replace("refresh", refresh:sub(1, last) .. url)
  end
end

local function change(headers, rules)
  local count = headers:getNumValues("set-cookie")
  local cookies, changed = {}, false
  for index = 0, count - 1 do
    local old = headers:getAtIndex("set-cookie", index)
    local new = rewrite(old, rules)
    changed = changed or new ~= old
    cookies[#cookies + 1] = new
  end
  if not changed then
    return
  end
  headers:remove("set-cookie")
  for _, cookie in ipairs(cookies) do
    headers:add("set-cookie", cookie)
  end
end

function envoy_on_response(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local location, rules = context:get("location"), context:get("rules")
  if location then
    lead(headers, location)
  end
  if rules then
    change(headers, rules)
  end
end

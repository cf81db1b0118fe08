//! What an attacker sends, as tables: bytes in, the answer that is right, one `check` for each table. Everything goes
//! through the real control plane and the real Envoy to a back end that says what reached it.
//!
//! | file | who attacks with what |
//! |---|---|
//! | `headers` | a client that speaks for others: what it may not say about itself |
//! | `http1.txt` | requests whose end, host or path two programs read differently |
//! | `http2.txt` | the same over HTTP/2: malformed requests, and frames that break a connection |
//! | `floods` | many cheap frames |
//! | `names` | the server name of a ClientHello, in bytes that no library sends |
//! | `secrets.txt` | Secrets of every kind, broken and whole, beside one another |
//! | `labels` | names of objects that would be lines of a page of metrics |

mod floods;
mod frames;
mod headers;
mod http1;
mod http2;
mod labels;
mod names;
mod secrets;
mod table;

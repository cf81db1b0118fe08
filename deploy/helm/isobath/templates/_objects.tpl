{{/*
Everything is made of the files that `kubectl apply` takes (files/), so that there is one source: here is only what values change.
The named templates below change the objects that they are given, and print nothing.
*/}}

{{- define "isobath.labels" -}}
{{- $metadata := .object.metadata -}}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- $_ := set $metadata "labels" (merge $labels ($metadata.labels | default dict)) -}}
{{- end -}}

{{/* Whatever is in the manifests' own namespace is in the release's. */}}
{{- define "isobath.namespace" -}}
{{- if .namespace -}}
{{- $_ := set .object.metadata "namespace" .namespace -}}
{{- else if eq (.object.metadata.namespace | default "") "isobath" -}}
{{- $_ := set .object.metadata "namespace" .root.Release.Namespace -}}
{{- end -}}
{{- range .object.subjects -}}
{{- $_ := set . "namespace" $.root.Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "isobath.container" -}}
{{- $values := .root.Values -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $container := .container -}}
{{- $isEnvoy := eq $container.name "envoy" -}}
{{- $image := ternary $values.envoy.image $values.image $isEnvoy -}}
{{- $own := last (splitList ":" $container.image) -}}
{{- $_ := set $container "image" (printf "%s:%s" $image.repository ($image.tag | default (ternary $own .root.Chart.AppVersion $isEnvoy))) -}}
{{- if $image.pullPolicy -}}
{{- $_ := set $container "imagePullPolicy" $image.pullPolicy -}}
{{- end -}}
{{- $args := list -}}
{{- range $container.args -}}
{{- $heap := printf "--envoy-max-heap-bytes=%d" (div (mul $values.envoy.memoryLimitMiB 1048576 7) 8) -}}
{{- $arg := ternary $heap . (hasPrefix "--envoy-max-heap-bytes=" .) -}}
{{- $args = append $args (replace "isobath-xds.isobath.svc" (printf "isobath-xds.%s.svc" $namespace) $arg) -}}
{{- end -}}
{{- if $isEnvoy -}}
{{- range $values.envoy.args -}}
{{- $args = append $args (toString .) -}}
{{- end -}}
{{- $resources := $container.resources -}}
{{- if ne (int $values.envoy.memoryLimitMiB) 1024 -}}
{{- $_ := set $resources.limits "memory" (printf "%dMi" (int $values.envoy.memoryLimitMiB)) -}}
{{- end -}}
{{- $_ := set $resources "requests" (mergeOverwrite $resources.requests $values.envoy.requests) -}}
{{- else if has "serve" $container.args -}}
{{- range $values.controller.args -}}
{{- $args = append $args (toString .) -}}
{{- end -}}
{{- $env := list -}}
{{- range $container.env -}}
{{- if has .name (list "ISOBATH_ENVOY_SERVICE" "ISOBATH_GATEWAY_SERVICES") -}}
{{- $_ := set . "value" (printf "%s/isobath-envoy" $namespace) -}}
{{- else if eq .name "ISOBATH_WATCH_NAMESPACES" -}}
{{- $_ := set . "value" (join "," $values.watchNamespaces) -}}
{{- else if eq .name "ISOBATH_INGRESS_CLASS" -}}
{{- $_ := set . "value" $values.ingressClass.name -}}
{{- end -}}
{{- $env = append $env . -}}
{{- end -}}
{{- $_ := set $container "env" (concat $env $values.controller.env) -}}
{{- $_ := set $container "resources" (mergeOverwrite $container.resources $values.controller.resources) -}}
{{- end -}}
{{- $_ := set $container "args" $args -}}
{{- end -}}

{{- define "isobath.workload" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $template := .object.spec.template -}}
{{- $pod := $template.spec -}}
{{- if $values.podAnnotations -}}
{{- $_ := set $template.metadata "annotations" (merge (deepCopy $values.podAnnotations) ($template.metadata.annotations | default dict)) -}}
{{- end -}}
{{- if $values.podLabels -}}
{{- $_ := set $template.metadata "labels" (merge $template.metadata.labels (deepCopy $values.podLabels)) -}}
{{- end -}}
{{- if $values.imagePullSecrets -}}
{{- $_ := set $pod "imagePullSecrets" $values.imagePullSecrets -}}
{{- end -}}
{{- if $values.priorityClassName -}}
{{- $_ := set $pod "priorityClassName" $values.priorityClassName -}}
{{- end -}}
{{- if eq .object.kind "Deployment" -}}
{{- $_ := set .object.spec "replicas" (int $values.replicas) -}}
{{- else -}}
{{- $_ := set $pod "nodeSelector" (merge (deepCopy $values.nodeSelector) $pod.nodeSelector) -}}
{{- if $values.tolerations -}}
{{- $_ := set $pod "tolerations" (concat ($pod.tolerations | default list) $values.tolerations) -}}
{{- end -}}
{{- if $values.affinity -}}
{{- $_ := set $pod "affinity" $values.affinity -}}
{{- end -}}
{{- end -}}
{{- range concat $pod.containers ($pod.initContainers | default list) -}}
{{- $_ := include "isobath.container" (dict "container" . "root" $root) -}}
{{- end -}}
{{- end -}}

{{- define "isobath.service" -}}
{{- $service := .root.Values.service -}}
{{- $object := .object -}}
{{- if $service.annotations -}}
{{- $_ := set $object.metadata "annotations" $service.annotations -}}
{{- end -}}
{{- if $service.loadBalancerClass -}}
{{- $_ := set $object.spec "loadBalancerClass" $service.loadBalancerClass -}}
{{- end -}}
{{- if $service.externalTrafficPolicy -}}
{{- $_ := set $object.spec "externalTrafficPolicy" $service.externalTrafficPolicy -}}
{{- end -}}
{{- range $object.spec.ports -}}
{{- if .nodePort -}}
{{- $_ := set . "nodePort" (int (get $service.nodePorts .name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether an object is wanted. */}}
{{- define "isobath.isWanted" -}}
{{- $values := .root.Values -}}
{{- $kind := .object.kind -}}
{{- if eq $kind "Namespace" -}}{{- $values.namespace.create -}}
{{- else if eq $kind "IngressClass" -}}{{- $values.ingressClass.create -}}
{{- else if eq $kind "NetworkPolicy" -}}{{- $values.networkPolicy.create -}}
{{- else -}}true
{{- end -}}
{{- end -}}

{{/* An object of a file, with what the values say. */}}
{{- define "isobath.object" -}}
{{- $values := .root.Values -}}
{{- $object := .object -}}
{{- $_ := include "isobath.labels" . -}}
{{- $_ := include "isobath.namespace" . -}}
{{- if has $object.kind (list "DaemonSet" "Deployment") -}}
{{- $_ := include "isobath.workload" . -}}
{{- else if and (eq $object.kind "Service") (eq $object.metadata.name "isobath-envoy") -}}
{{- $_ := include "isobath.service" . -}}
{{- else if eq $object.kind "Namespace" -}}
{{- $_ := set $object.metadata "name" .root.Release.Namespace -}}
{{- else if eq $object.kind "IngressClass" -}}
{{- $_ := set $object.metadata "name" $values.ingressClass.name -}}
{{- if $values.ingressClass.default -}}
{{- $_ := set $object.metadata "annotations" (dict "ingressclass.kubernetes.io/is-default-class" "true") -}}
{{- end -}}
{{- else if has $object.kind (list "PodMonitor" "PrometheusRule") -}}
{{- $_ := set $object.metadata "labels" (merge $object.metadata.labels (deepCopy $values.monitoring.labels)) -}}
{{- end -}}
---
{{ toYaml $object }}
{{ end -}}

{{/* All objects of a file. What is in the namespace that is watched is there once for each of them. */}}
{{- define "isobath.file" -}}
{{- $root := .root -}}
{{- range splitList "\n---\n" (.root.Files.Get .file) -}}
{{- $object := fromYaml . -}}
{{- if eq "true" (include "isobath.isWanted" (dict "root" $root "object" $object)) -}}
{{- if and (eq $root.Values.mode "namespaced") (eq ($object.metadata.namespace | default "") "default") -}}
{{- range $root.Values.watchNamespaces -}}
{{ include "isobath.object" (dict "root" $root "object" (deepCopy $object) "namespace" .) }}
{{- end -}}
{{- else -}}
{{ include "isobath.object" (dict "root" $root "object" $object) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels by which the operator's pod is selected: they never change, a Deployment's selector cannot. */}}
{{- define "modelrelease.selector" -}}
app.kubernetes.io/name: {{ .Values.name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object. */}}
{{- define "modelrelease.labels" -}}
app.kubernetes.io/part-of: modelrelease
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Reference of an image: by digest where there is one. Takes (image, root). */}}
{{- define "modelrelease.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 1).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "modelrelease.serviceAccount" -}}
{{ .Values.serviceAccount.name | default .Values.name }}
{{- end }}

{{/* The operator's rules: the cluster's, less what has no namespace where a Role grants them. They are written once, for kustomize and here. */}}
{{- define "modelrelease.rules" -}}
{{- $rules := list -}}
{{- range (.Files.Get "files/base/cluster-role.yaml" | fromYaml).rules -}}
{{- if not (and $.Values.watch.namespaces (or (has "nodes" .resources) (has "priorityclasses" .resources))) -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "modelrelease.validate" -}}
{{- if and .Values.watch.readNodes (not .Values.watch.namespaces) -}}
{{- fail "watch.readNodes is for watch.namespaces; without namespaces the operator may read nodes anyway" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: name the account that there is in serviceAccount.name" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.metrics.annotations -}}
{{- fail "podMonitor.enabled: set metrics.annotations to false, or a Prometheus that reads both scrapes everything twice" -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (not (.Files.Glob "dashboards/*.json")) -}}
{{- fail "dashboards.enabled: this version of the chart has no dashboards yet" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.prometheus.sources -}}
{{- if has .name $names -}}
{{- fail (printf "prometheus.sources: %q is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if and .bearerToken .basicAuth -}}
{{- fail (printf "prometheus.sources: %q has bearerToken and basicAuth; a server takes one of them" .name) -}}
{{- end -}}
{{- if and (hasPrefix "http:" .url) (or .ca .clientCertificate) -}}
{{- fail (printf "prometheus.sources: %q has ca or clientCertificate, which need an https URL" .name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The operator's config.yaml: credentials are files, mounted from Secrets by the Deployment. */}}
{{- define "modelrelease.config" -}}
{{- $sources := list -}}
{{- range .Values.prometheus.sources -}}
{{- $folder := printf "/etc/modelrelease-prometheus/%s" .name -}}
{{- $source := omit . "bearerToken" "basicAuth" "ca" "clientCertificate" -}}
{{- with .bearerToken -}}
{{- $_ := set $source "bearerTokenFile" (printf "%s/token" $folder) -}}
{{- end -}}
{{- with .basicAuth -}}
{{- $_ := set $source "basicAuth" (dict "username" .username "passwordFile" (printf "%s/password" $folder)) -}}
{{- end -}}
{{- with .ca -}}
{{- $_ := set $source "caFile" (printf "%s/ca.crt" $folder) -}}
{{- end -}}
{{- with .clientCertificate -}}
{{- $_ := set $source "clientCertificate" (dict "certificateFile" (printf "%s/tls.crt" $folder) "keyFile" (printf "%s/tls.key" $folder)) -}}
{{- end -}}
{{- $sources = append $sources $source -}}
{{- end -}}
{{- $said := dict
  "checksImage" (include "modelrelease.image" (list .Values.checks.image .))
  "checksTorchImage" (include "modelrelease.image" (list .Values.checks.torchImage .))
  "logLevel" .Values.logLevel
  "prometheus" (dict "sources" $sources) -}}
{{- with .Values.watch.namespaces -}}
{{- $_ := set $said "namespaces" . -}}
{{- end -}}
{{- toYaml (merge $said .Values.config) -}}
{{- end }}

{{/* What a source's folder is made of: items of a projected volume. */}}
{{- define "modelrelease.credentials" -}}
{{- with .bearerToken }}
- secret: {name: {{ .secret }}, items: [{key: {{ .key | default "token" }}, path: token}]}
{{- end }}
{{- with .basicAuth }}
- secret: {name: {{ .secret }}, items: [{key: {{ .key | default "password" }}, path: password}]}
{{- end }}
{{- with .ca }}
{{- if .configMap }}
- configMap: {name: {{ .configMap }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
{{- else }}
- secret: {name: {{ .secret }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- with .clientCertificate }}
- secret:
    name: {{ .secret }}
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end }}
{{- end }}

{{/* Where credentials are mounted; volumes are named by position, because a source's name may be too long for one. */}}
{{- define "modelrelease.mounts" -}}
{{- range $place, $source := .Values.prometheus.sources -}}
{{- if include "modelrelease.credentials" $source }}
- name: prometheus-{{ $place }}
  mountPath: /etc/modelrelease-prometheus/{{ $source.name }}
  readOnly: true
{{- end -}}
{{- end -}}
{{- range $place, $secret := .Values.secretMounts }}
- name: secret-{{ $place }}
  mountPath: /etc/modelrelease-secrets/{{ $secret }}
  readOnly: true
{{- end -}}
{{- end }}

{{- define "modelrelease.volumes" -}}
{{- range $place, $source := .Values.prometheus.sources -}}
{{- with include "modelrelease.credentials" $source }}
- name: prometheus-{{ $place }}
  projected:
    sources:
      {{- . | nindent 6 }}
{{- end -}}
{{- end -}}
{{- range $place, $secret := .Values.secretMounts }}
- name: secret-{{ $place }}
  secret:
    secretName: {{ $secret }}
{{- end -}}
{{- end }}

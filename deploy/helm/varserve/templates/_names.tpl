{{- define "varserve.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "varserve.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "varserve.envoySelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: envoy
{{- end }}

{{- define "varserve.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{- define "varserve.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "varserve.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "varserve.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "varserve.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "%s-%s" .Chart.AppVersion (ternary "cuda" "cpu" .Values.gpu.enabled)) }}
{{- end }}

{{- define "varserve.tokensSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-tokens" (include "varserve.name" .)) }}
{{- end }}

{{- define "varserve.hasTokens" -}}
{{- if or .Values.auth.required .Values.auth.existingSecret .Values.auth.tokens }}yes{{ end }}
{{- end }}

{{- define "varserve.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "varserve.name" .)) }}
{{- end }}

{{- define "varserve.tlsName" -}}
{{- .Values.tls.serverName | default (printf "%s.%s.svc" (include "varserve.name" .) .Release.Namespace) }}
{{- end }}

{{- /* Whether the number of compute threads follows the CPU request, because nothing else limits it. */}}
{{- define "varserve.threadsOfRequest" -}}
{{- if not (or (hasKey .Values.flags "threads") (dig "limits" "cpu" "" .Values.resources)) }}yes{{ end }}
{{- end }}

{{- /* The security context of a container that only needs to compute and serve. */}}
{{- define "varserve.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "varserve.podSecurity" -}}
runAsNonRoot: true
{{- range $field, $id := .Values.podSecurity }}
{{- if not (kindIs "invalid" $id) }}
{{ $field }}: {{ $id | int64 }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

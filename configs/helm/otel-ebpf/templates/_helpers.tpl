{{- define "otel-ebpf.labels" -}}
{{ include "otel-ebpf.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "otel-ebpf.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
{{- end }}

{{- /* Of everything: short enough for a Service with any ending here, and without the dots that a
release's name may have and a Service's may not. */ -}}
{{- define "sluice.name" -}}{{ .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "sluice.labels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- /* Image reference of {image, chart}: the digest wins over the tag, the tag over appVersion. */ -}}
{{- define "sluice.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The authenticated name of the controller, which the admission policies trust. */ -}}
{{- define "sluice.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "sluice.name" . }}-controller
{{- end }}

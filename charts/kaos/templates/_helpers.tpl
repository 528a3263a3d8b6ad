{{- /* What several templates need. Names of objects stay `kaos-operator`: the Lease and the registry have one name, too. */ -}}

{{- define "kaos.account" -}}
{{- .Values.serviceAccount.name | default "kaos-operator" -}}
{{- end -}}

{{- define "kaos.selector" -}}
app.kubernetes.io/name: kaos-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /* Somebody's labels, without those that are the chart's: a key must not stand twice. */ -}}
{{- define "kaos.ownLabels" -}}
{{- with omit (. | default dict) "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/part-of" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{ toYaml . }}
{{ end -}}
{{- end -}}

{{- define "kaos.labels" -}}
{{ include "kaos.selector" . }}
app.kubernetes.io/part-of: kaos
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- /* An image with its host replaced by global.imageRegistry: (list $ "docker.io/ollama/ollama:0.12.6"). */ -}}
{{- define "kaos.mirrored" -}}
{{- $registry := (index . 0).Values.global.imageRegistry | trimSuffix "/" -}}
{{- $parts := splitList "/" (index . 1) -}}
{{- $host := first $parts -}}
{{- if and (gt (len $parts) 1) (or (contains "." $host) (contains ":" $host) (eq $host "localhost")) $registry -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- if $registry -}}
{{- $parts = prepend $parts $registry -}}
{{- end -}}
{{- join "/" $parts -}}
{{- end -}}

{{- define "kaos.image" -}}
{{- $end := printf ":%s" (.Values.image.tag | default .Chart.AppVersion) -}}
{{- with .Values.image.digest -}}
{{- $end = printf "@%s" . -}}
{{- end -}}
{{- include "kaos.mirrored" (list . (printf "%s%s" .Values.image.repository $end)) -}}
{{- end -}}

{{- define "kaos.gateway" -}}
{{- printf "%s/%s" (.Values.gatewayAPI.namespace | default .Release.Namespace) .Values.gatewayAPI.name -}}
{{- end -}}

{{- /* The built-in runtimes by name, each with its image: the other fields are the plugins'. */ -}}
{{- define "kaos.runtimes" -}}
{{- $images := .Values.defaultImages -}}
{{- $runtimes := dict
  "rawpython" (dict "image" (include "kaos.mirrored" (list . $images.mcpRawPython)))
  "kubernetes" (dict "image" (include "kaos.mirrored" (list . $images.mcpKubernetes)))
  "slack" (dict "image" (include "kaos.mirrored" (list . $images.mcpSlack)))
  "discord" (dict "image" (include "kaos.mirrored" (list . $images.mcpDiscord)))
  "fetch" (dict "image" (include "kaos.mirrored" (list . $images.mcpFetch)))
-}}
{{- $own := merge (dict) .Values.mcpRuntimes.additionalRuntimes .Values.mcpRuntimes.custom -}}
{{- toYaml (dict "runtimes" (mergeOverwrite $runtimes (deepCopy $own))) -}}
{{- end -}}

{{- /* The operator's environment; docs/reference/environment-variables.md has the variables. */ -}}
{{- define "kaos.env" -}}
- name: KAOS_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: KAOS_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- $variables := dict
  "KAOS_LEADER_ELECTION" "true"
  "KAOS_HTTP_PORT" "8080"
  "KAOS_LOG_LEVEL" .Values.logLevel
  "KAOS_LOG_FORMAT" .Values.logFormat
  "KAOS_AGENT_IMAGE" (include "kaos.mirrored" (list . .Values.defaultImages.agentRuntime))
  "KAOS_LITELLM_IMAGE" (include "kaos.mirrored" (list . .Values.defaultImages.litellm))
  "KAOS_OLLAMA_IMAGE" (include "kaos.mirrored" (list . .Values.defaultImages.ollama))
  "KAOS_IMAGE_PULL_SECRETS" (join "," .Values.workloads.imagePullSecrets)
  "KAOS_WORKLOAD_LOG_LEVEL" .Values.workloads.logLevel
  "KAOS_MCPSERVER_TIMEOUT" .Values.gatewayAPI.timeouts.mcpserver
  "KAOS_AGENT_TIMEOUT" .Values.gatewayAPI.timeouts.agent
  "KAOS_MODELAPI_TIMEOUT" .Values.gatewayAPI.timeouts.modelapi
  "KAOS_DISABLED_PLUGINS" (join "," .Values.plugins.disabled)
-}}
{{- if eq .Values.rbac.scope "namespace" -}}
{{- $_ := set $variables "KAOS_WATCH_NAMESPACES" (join "," .Values.rbac.namespaces) -}}
{{- $_ := set $variables "KAOS_POD_SECURITY" .Values.workloads.podSecurity -}}
{{- end -}}
{{- if .Values.gatewayAPI.enabled -}}
{{- $_ := set $variables "KAOS_GATEWAY" (include "kaos.gateway" .) -}}
{{- $_ := set $variables "KAOS_GATEWAY_HOSTS" .Values.gatewayAPI.hostname -}}
{{- end -}}
{{- if .Values.telemetry.enabled -}}
{{- $_ := set $variables "KAOS_OTLP_ENDPOINT" .Values.telemetry.endpoint -}}
{{- end -}}
{{- if .Values.plugins.strict -}}
{{- $_ := set $variables "KAOS_STRICT_PLUGINS" "1" -}}
{{- end -}}
{{- range $name, $value := .Values.tuning -}}
{{- $_ := set $variables (printf "KAOS_%s" ($name | snakecase | upper)) ($value | kindIs "string" | ternary $value (toJson $value)) -}}
{{- end -}}
{{- $own := list -}}
{{- range .Values.extraEnv -}}
{{- $own = append $own .name -}}
{{- end -}}
{{- range $name, $value := $variables }}
{{- if and $value (not (has $name $own)) }}
- name: {{ $name }}
  {{- /* JSON leaves U+0085 as it is, which is the end of a line in YAML. */}}
  value: {{ toJson $value | replace "\u0085" "\\u0085" }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What the operator's pod and that of `helm test` have in common. */ -}}
{{- define "kaos.pod" -}}
serviceAccountName: {{ include "kaos.account" . | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "kaos.container" -}}
image: {{ include "kaos.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "kaos.env" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

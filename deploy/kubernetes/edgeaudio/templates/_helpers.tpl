{{/* Names, labels and what all pods have in common. */}}

{{- define "edgeaudio.name" -}}
{{- /* Helm takes more names than a Service has */ -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" .Release.Name) -}}
{{- fail (printf "%s: a release of this chart has a name of a-z, 0-9 and hyphens that begins with a letter" .Release.Name) -}}
{{- end -}}
{{- /* Kubernetes adds up to eleven characters and an ordinal, and lets names have 63 */ -}}
{{- $name := ternary .Release.Name (printf "%s-edgeaudio" .Release.Name) (contains "edgeaudio" .Release.Name) -}}
{{- if gt (len $name) 36 -}}
{{- /* two long names that begin alike are two releases */ -}}
{{- $name = printf "%s-%s" ($name | trunc 27 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "edgeaudio.labels" -}}
{{ include "edgeaudio.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{- define "edgeaudio.selector" -}}
app.kubernetes.io/name: edgeaudio
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{- define "edgeaudio.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) | quote -}}
{{- end -}}

{{- /* settings that a running agent cannot change (AT_START of edgeaudio/agent/reloader.py): with others, pods start anew */ -}}
{{- define "edgeaudio.atStart" -}}
{{- pick .Values.settings "log_format" "mqtt" "outbox" "clips" "live" "transcripts" "dashboard" | toJson | sha256sum -}}
{{- end -}}

{{- /* text as the value of a key: as it is where YAML has no other meaning for any of its characters */ -}}
{{- define "edgeaudio.text" -}}
{{- if regexMatch "^[!-~][\\n -~]*$" . -}}
|
{{ . | trimSuffix "\n" | indent 4 }}
{{- else -}}
{{ . | quote }}
{{- end -}}
{{- end -}}

{{- define "edgeaudio.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "edgeaudio.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
privileged: false
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "edgeaudio.placement" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* Secrets in one folder, whose files the settings take as systemd's credentials */ -}}
{{- define "edgeaudio.credentialsVolume" -}}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret:
          name: {{ . | quote }}
      {{- end }}
{{- end -}}

{{- define "edgeaudio.credentialsMount" -}}
- name: credentials
  mountPath: /run/secrets/edgeaudio/credentials
  readOnly: true
{{- end -}}

{{- /* the URL of the fleet's PostgreSQL, of collect and of the page */ -}}
{{- define "edgeaudio.databaseVolume" -}}
- name: database
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end -}}

{{- define "edgeaudio.databaseMount" -}}
- name: database
  mountPath: /run/secrets/edgeaudio/database
  readOnly: true
{{- end -}}

{{- define "edgeaudio.tlsVolume" -}}
- name: tls
  secret:
    secretName: {{ .Values.tls.secret | quote }}
    defaultMode: 0440
{{- end -}}

{{- define "edgeaudio.tlsMount" -}}
- name: tls
  mountPath: /run/secrets/edgeaudio/tls
  readOnly: true
{{- end -}}

{{- define "edgeaudio.tlsEnvironment" -}}
- name: EDGEAUDIO_MQTT__CA_FILE
  value: /run/secrets/edgeaudio/tls/ca.crt
{{- if .Values.tls.clientCertificate }}
- name: EDGEAUDIO_MQTT__CERT_FILE
  value: /run/secrets/edgeaudio/tls/tls.crt
- name: EDGEAUDIO_MQTT__KEY_FILE
  value: /run/secrets/edgeaudio/tls/tls.key
{{- end }}
{{- end -}}

{{- /* what no schema says: addresses hold no login, for a ConfigMap is no place for it, and a schema would print what it refuses */ -}}
{{- define "edgeaudio.checked" -}}
{{- range $name, $source := .Values.sources -}}
{{- if contains "@" $source.url -}}
{{- fail (printf "sources.%s.url: it holds a login; put it as sources.%s.username and .password, or .url, into a Secret of credentials" $name $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $source := .Values.sources -}}
{{- if ne $source.url (trim $source.url) -}}
{{- fail (printf "sources.%s.url: it begins or ends with a blank or the end of a line; take that away" $name) -}}
{{- end -}}
{{- end -}}
{{- if contains "@" (dig "mqtt" "url" "" .Values.settings) -}}
{{- fail "settings.mqtt.url: it holds a login; put it as mqtt.username and mqtt.password into a Secret of credentials" -}}
{{- end -}}
{{- $largest := include "edgeaudio.largest" . | int -}}
{{- if gt $largest (int .Values.sizing.streams) -}}
{{- fail (printf "shards: of %d sources in %d shards one may have %d, and sizing.streams is %d; raise shards, or sizing.streams with what a pod asks for" (len .Values.sources) (int .Values.shards) $largest (int .Values.sizing.streams)) -}}
{{- end -}}
{{- if and .Values.tls.secret (hasPrefix "mqtt:" (dig "mqtt" "url" "" .Values.settings)) -}}
{{- fail "tls.secret: settings.mqtt.url must be mqtts:// for it to be used" -}}
{{- end -}}
{{- if and .Values.tls.clientCertificate (not .Values.tls.secret) -}}
{{- fail "tls.clientCertificate: name in tls.secret the Secret that has it" -}}
{{- end -}}
{{- if contains "@" (dig "transcripts" "recogniser" "" .Values.settings | default "") -}}
{{- fail "settings.transcripts.recogniser: it holds a login; put the whole address as transcripts.recogniser into a Secret of credentials" -}}
{{- end -}}
{{- end -}}

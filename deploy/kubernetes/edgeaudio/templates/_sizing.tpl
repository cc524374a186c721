{{/*
The size of a shard, from the figures of docs/performance.md ("CPU of a live stream", "Memory of the agent"); README.md
has the formula in words. tests/kubernetes compares both with docs/performance.json.

What is asked for depends on sizing.streams and not on the number of sources: else each camera more would start all
pods anew. That no shard has more than sizing.streams is checked: shares are binomial, so of N sources in s shards the
mean is N/s, the deviation at most its root, and one shard of 700 has more than three deviations above the mean.
*/}}

{{- define "edgeaudio.root" -}}
{{- /* the square root of a number, by Newton's method */ -}}
{{- $x := float64 . -}}
{{- $root := maxf 1.0 $x -}}
{{- range until 24 -}}
{{- $root = divf (addf $root (divf $x $root)) 2.0 -}}
{{- end -}}
{{- $root -}}
{{- end -}}

{{- /* sources of the largest shard that is to be expected */ -}}
{{- define "edgeaudio.largest" -}}
{{- $count := len .Values.sources -}}
{{- if le (int .Values.shards) 1 -}}
{{- $count -}}
{{- else -}}
{{- $mean := divf $count .Values.shards -}}
{{- min $count (ceil (addf $mean (mulf 3.0 (include "edgeaudio.root" $mean | float64))) | int) -}}
{{- end -}}
{{- end -}}

{{- /* per stream, in thousandths of a core: read every half second; read packet by packet, as after a start */ -}}
{{- define "edgeaudio.figures" -}}
aac: {steady: 6.0, each_packet: 16.0}
opus: {steady: 5.8, each_packet: 13.6}
g711: {steady: 4.0, each_packet: 10.3}
{{- end -}}

{{- define "edgeaudio.resources" -}}
{{- if .Values.resources -}}
{{- toYaml .Values.resources -}}
{{- else -}}
{{- $n := .Values.sizing.streams | int -}}
{{- $figures := get (include "edgeaudio.figures" . | fromYaml) .Values.sizing.codec -}}
{{- $memory := add 103 (mul 4 $n) -}}
requests:
  cpu: {{ printf "%dm" (ceil (addf 8 (mulf $figures.steady $n)) | int) | quote }}
  memory: {{ printf "%dM" $memory | quote }}
limits:
  cpu: {{ printf "%dm" (max 1000 (ceil (addf 20 (mulf $figures.each_packet $n)) | int)) | quote }}
  memory: {{ printf "%dM" (add 17 (mul 2 (add 48 $memory))) | quote }}
{{- end -}}
{{- end -}}

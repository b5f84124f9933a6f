{{- /*
A value as text: dict "name" "flags.threads" "value" 16. Numbers are written in digits, because numbers from YAML arrive as
float64, which a template would print as 1.6e+07. A list becomes its elements, separated by commas.
*/}}
{{- define "varserve.text" -}}
{{- if kindIs "slice" .value -}}
{{- $elements := list -}}
{{- range .value -}}{{- $elements = append $elements (include "varserve.text" (dict "name" $.name "value" .)) -}}{{- end -}}
{{- join "," $elements -}}
{{- else if kindIs "float64" .value -}}
{{- if or (ge .value 9007199254740992.0) (le .value -9007199254740992.0) -}}
{{- fail (printf "%s: %.0f may have lost its last digits; write it in quotes" .name .value) -}}
{{- end -}}
{{- toJson .value -}}
{{- else -}}
{{- .value -}}
{{- end -}}
{{- end }}

{{- /* A size in bytes, in Kubernetes' notation (1Gi, 500M) or a server flag's (dict .. "flag" true), where M means Mi. */}}
{{- define "varserve.bytes" -}}
{{- $text := include "varserve.text" . -}}
{{- $flag := dict "" 1 "K" 1024 "M" 1048576 "G" 1073741824 "T" 1099511627776 -}}
{{- $quantity := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $units := ternary $flag $quantity (hasKey . "flag") -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- if not (and $number (hasKey $units $unit)) -}}
{{- fail (printf "%s: %q is not a size: digits and one of %s" .name $text (keys $units | sortAlpha | join " ")) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | int64 -}}
{{- end }}

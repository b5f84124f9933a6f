{{- /* The probe of one health name: gRPC's own, or by the client where TLS is on, which the kubelet cannot speak. */}}
{{- define "varserve.probe" -}}
{{- $service := ternary "varserve.v1.VisionLanguage" "" .ready -}}
{{- with .root.Values.tls }}
{{- if .enabled }}
exec:
  command:
    - varserve
    - health
    - --service={{ $service }}
    - --timeout=4
    - --tls-ca=/etc/varserve/tls/ca.crt
    - --tls-server-name={{ include "varserve.tlsName" $.root }}
    {{- if .requireClientCertificate }}
    - --tls-cert=/etc/varserve/tls/tls.crt
    - --tls-key=/etc/varserve/tls/tls.key
    {{- end }}
{{- else }}
grpc:
  port: 50051
  service: {{ $service | quote }}
{{- end }}
{{- end }}
timeoutSeconds: 5
{{- end }}

{{- /* The kubelet's own gRPC probe of one health name. It does not support TLS, for which the server has a separate health port. */}}
{{- define "varserve.probe" -}}
grpc:
  port: {{ ternary 50052 50051 .root.Values.tls.enabled }}
  service: {{ ternary "varserve.v1.VisionLanguage" "" .ready | quote }}
timeoutSeconds: 5
{{- end }}

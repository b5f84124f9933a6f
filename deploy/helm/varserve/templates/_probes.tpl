{{- /* The kubelet's own gRPC probe of one health name. It speaks no TLS: with that the server has a port for health alone. */}}
{{- define "varserve.probe" -}}
grpc:
  port: {{ ternary 50052 50051 .root.Values.tls.enabled }}
  service: {{ ternary "varserve.v1.VisionLanguage" "" .ready | quote }}
timeoutSeconds: 5
{{- end }}

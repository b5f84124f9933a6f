{{- /*
The servers, over gRPC or as OpenAI's API: dict "root" . "limits" of varserve.envoyLimits "name" (varserve or openai) "addresses"
(list "host:port").
*/}}
{{- define "varserve.envoyReplicas" -}}
{{- $grpc := eq .name "varserve" -}}
- name: {{ .name }}
  cluster_type:
    name: envoy.clusters.dns
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster
      dns_refresh_rate: 2s
      dns_lookup_family: V4_PREFERRED
  connect_timeout: 2s
  per_connection_buffer_limit_bytes: 1048576
  lb_policy: RING_HASH
  ring_hash_lb_config: {minimum_ring_size: 1024}
  common_lb_config:
    # Send only to healthy replicas, however few.
    healthy_panic_threshold: {value: 0}
    consistent_hashing_lb_config: {hash_balance_factor: {{ $.root.Values.envoy.loadBalance | int64 }}}
  circuit_breakers:
    thresholds:
      - max_connections: {{ .limits.connections | int64 }}
        max_pending_requests: {{ .limits.connections | int64 }}
        max_requests: {{ .limits.requests | int64 }}
        retry_budget: {budget_percent: {value: 25}, min_retry_concurrency: 16}
  health_checks:
    - timeout: 2s
      interval: 2s
      no_traffic_interval: 2s
      unhealthy_threshold: 2
      healthy_threshold: 1
      {{- if $grpc }}
      grpc_health_check: {service_name: varserve.v1.VisionLanguage}
      {{- else }}
      http_health_check: {path: /health}
      {{- end }}
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
      explicit_http_config:
        {{- if $grpc }}
        http2_protocol_options:
          connection_keepalive: {interval: 30s, timeout: 10s}
          initial_stream_window_size: 1048576
          initial_connection_window_size: 16777216
        {{- else }}
        http_protocol_options: {}
        {{- end }}
  {{- with .root.Values.tls }}
  {{- if .enabled }}
  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      sni: {{ include "varserve.tlsName" $.root }}
      common_tls_context:
        alpn_protocols: [{{ ternary "h2" "http/1.1" $grpc }}]  # gRPC servers require theirs
        tls_params: {tls_minimum_protocol_version: TLSv1_2}
        validation_context:
          trusted_ca: {filename: /etc/envoy/server-tls/ca.crt}
          match_typed_subject_alt_names:
            - san_type: DNS
              matcher: {exact: {{ include "varserve.tlsName" $.root }}}
        {{- if .requireClientCertificate }}
        tls_certificates:
          - certificate_chain: {filename: /etc/envoy/server-tls/tls.crt}
            private_key: {filename: /etc/envoy/server-tls/tls.key}
        {{- end }}
  {{- end }}
  {{- end }}
  load_assignment:
    cluster_name: {{ .name }}
    endpoints:
      - lb_endpoints:
          {{- range .addresses }}
          - endpoint:
              address:
                socket_address: {address: "{{ regexReplaceAll ":[0-9]+$" . "" | trimAll "[]" }}", port_value: {{ regexFind "[0-9]+$" . }}}
          {{- end }}
{{- end }}

{{- /* Envoy's configuration, for the chart's replicas or given addresses: dict "root" . "addresses" (list "host:port"). */}}
{{- define "varserve.envoyConfig" -}}
{{- $envoy := .root.Values.envoy -}}
{{- $limits := include "varserve.envoyLimits" .root | fromYaml -}}
{{- $calls := dict "root" .root "limits" $limits -}}
{{- $tls := $envoy.tls.existingSecret -}}
# All questions about one picture go to the same replica, by the digest the client sends; others take over its overload.
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 9901}
{{ include "varserve.envoyOverload" $limits }}
{{- if $envoy.json }}
bootstrap_extensions:
  - name: envoy.bootstrap.internal_listener
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener
{{- end }}
static_resources:
  listeners:
    - name: grpc
      address:
        socket_address: {address: "{{ $envoy.address }}", port_value: {{ $envoy.port | int64 }}{{ if contains ":" $envoy.address }}, ipv4_compat: true{{ end }}}
      per_connection_buffer_limit_bytes: 1048576
      {{- if $envoy.json }}
      listener_filters_timeout: 10s
      listener_filters:
        {{- if $tls }}
        - name: envoy.filters.listener.tls_inspector
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
        {{- else }}
        - name: envoy.filters.listener.http_inspector
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector
        {{- end }}
      {{- end }}
      filter_chains:
        - name: grpc
          {{- if $envoy.json }}
          filter_chain_match: {application_protocols: [{{ ternary "h2" "h2c" (not (empty $tls)) }}]}
          {{- end }}
          transport_socket_connect_timeout: 10s
          filters:
            - {{- include "varserve.envoyCalls" $calls | nindent 14 }}
          {{- if $tls }}
          {{- include "varserve.envoyDoor" "h2" | nindent 10 }}
          {{- end }}
        {{- if $envoy.json }}
        - name: json
          transport_socket_connect_timeout: 10s
          filters:
            - {{- include "varserve.envoyJson" $envoy | nindent 14 }}
          {{- if $tls }}
          {{- include "varserve.envoyDoor" "http/1.1" | nindent 10 }}
          {{- end }}
    - name: json
      internal_listener: {}
      ignore_global_conn_limit: true  # the listener has already counted its connections
      per_connection_buffer_limit_bytes: 1048576
      filter_chains:
        - filters:
            - {{- include "varserve.envoyCalls" $calls | nindent 14 }}
        {{- end }}
  clusters:
    - name: varserve
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
        consistent_hashing_lb_config: {hash_balance_factor: {{ $envoy.loadBalance | int64 }}}
      circuit_breakers:
        thresholds:
          - max_connections: {{ $limits.connections | int64 }}
            max_pending_requests: {{ $limits.connections | int64 }}
            max_requests: {{ $limits.requests | int64 }}
            retry_budget: {budget_percent: {value: 25}, min_retry_concurrency: 16}
      health_checks:
        - timeout: 2s
          interval: 2s
          no_traffic_interval: 2s
          unhealthy_threshold: 2
          healthy_threshold: 1
          grpc_health_check: {service_name: varserve.v1.VisionLanguage}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              connection_keepalive: {interval: 30s, timeout: 10s}
              initial_stream_window_size: 1048576
              initial_connection_window_size: 16777216
      {{- with .root.Values.tls }}
      {{- if .enabled }}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: {{ include "varserve.tlsName" $.root }}
          common_tls_context:
            alpn_protocols: [h2]  # gRPC servers require it
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
        cluster_name: varserve
        endpoints:
          - lb_endpoints:
              {{- range .addresses }}
              - endpoint:
                  address:
                    socket_address: {address: "{{ regexReplaceAll ":[0-9]+$" . "" | trimAll "[]" }}", port_value: {{ regexFind "[0-9]+$" . }}}
              {{- end }}
    {{- if $envoy.json }}
    - name: json
      connect_timeout: 2s
      per_connection_buffer_limit_bytes: 1048576
      circuit_breakers:
        thresholds:
          - max_requests: {{ $limits.connections | int64 }}
            max_pending_requests: {{ $limits.connections | int64 }}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options: {}
      load_assignment:
        cluster_name: json
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    envoy_internal_address: {server_listener_name: json}
    {{- end }}
{{- end }}

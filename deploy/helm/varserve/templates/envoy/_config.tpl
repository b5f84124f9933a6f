{{- /* Envoy's configuration, for replicas of the chart or at given addresses: dict "root" . "addresses" (list "host:port"). */}}
{{- define "varserve.envoyConfig" -}}
{{- $envoy := .root.Values.envoy -}}
# Questions about one picture go to one replica, by the digest the client sends; the others take over what it cannot.
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 9901}
static_resources:
  listeners:
    - name: grpc
      address:
        socket_address: {address: 0.0.0.0, port_value: {{ $envoy.port }}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: varserve
                codec_type: AUTO
                # A long prefill sends nothing for minutes; a lost client is found by the pings.
                stream_idle_timeout: 0s
                # The client's names of its requests are those in the server's logs.
                preserve_external_request_id: true
                http2_protocol_options:
                  max_concurrent_streams: 1000
                  connection_keepalive: {interval: 30s, timeout: 10s}
                  # A picture in flight per stream, not 64 KB.
                  initial_stream_window_size: 1048576
                  initial_connection_window_size: 16777216
                common_http_protocol_options:
                  # Long-lived channels come back now and then, and so spread over the proxies.
                  max_connection_duration: 1800s
                drain_timeout: {{ $envoy.drainSeconds }}s
                access_log:
                  - name: envoy.access_loggers.stdout
                    filter:
                      status_code_filter:
                        comparison: {op: GE, value: {default_value: 500, runtime_key: access_log_status}}
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
                route_config:
                  name: varserve
                  virtual_hosts:
                    - name: varserve
                      domains: ["*"]
                      # A request that may be tried again is kept until its answer begins.
                      request_body_buffer_limit: 67108864
                      routes:
                        # A conversation in both directions: what is kept back until the caller is done never gets an answer.
                        - match: {prefix: /grpc.reflection.}
                          route: {cluster: varserve, timeout: 0s}
                          typed_per_filter_config:
                            envoy.filters.http.buffer:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute
                              disabled: true
                        - match: {prefix: /}
                          route:
                            cluster: varserve
                            timeout: 0s
                            max_stream_duration: {grpc_timeout_header_max: 0s}
                            hash_policy:
                              - header: {header_name: x-image-digest}
                            # Only what no replica has begun to answer: UNAVAILABLE (starting, draining), or nothing reached it.
                            retry_policy:
                              retry_on: unavailable,connect-failure,refused-stream
                              num_retries: 3
                              retry_back_off: {base_interval: 0.05s, max_interval: 1s}
                              # Each looks one place further along the ring, where the same replica may stand again.
                              host_selection_retry_max_attempts: 64
                              retry_host_predicate:
                                - name: envoy.retry_host_predicates.previous_hosts
                                  typed_config:
                                    "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                http_filters:
                  {{- if $envoy.json }}
                  # POST /varserve.v1.VisionLanguage/Answer with JSON: a JSON line for each message of the stream.
                  - name: envoy.filters.http.grpc_json_transcoder
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
                      proto_descriptor_bin: {{ .root.Files.Get "files/varserve.pb" | b64enc }}
                      services: [varserve.v1.VisionLanguage]
                      auto_mapping: true
                      convert_grpc_status: true
                      max_request_body_size: 67108864
                      print_options: {preserve_proto_field_names: true, stream_newline_delimited: true}
                  {{- end }}
                  # A replica that refuses before the whole picture has arrived: only a whole request is tried again.
                  - name: envoy.filters.http.buffer
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer
                      max_request_bytes: 67108864
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          {{- if $envoy.tls.existingSecret }}
          transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                tls_params: {tls_minimum_protocol_version: TLSv1_2}
                # Read again when Kubernetes swaps the mounted secret's directory.
                tls_certificates:
                  - certificate_chain: {filename: /etc/envoy/tls/tls.crt}
                    private_key: {filename: /etc/envoy/tls/tls.key}
                    watched_directory: {path: /etc/envoy/tls}
          {{- end }}
  clusters:
    - name: varserve
      cluster_type:
        name: envoy.clusters.dns
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster
          dns_refresh_rate: 2s
      connect_timeout: 2s
      lb_policy: RING_HASH
      ring_hash_lb_config: {minimum_ring_size: 1024}
      common_lb_config:
        # Send to those that are healthy, however few.
        healthy_panic_threshold: {value: 0}
        consistent_hashing_lb_config: {hash_balance_factor: {{ $envoy.loadBalance }}}
      circuit_breakers:
        thresholds:
          - max_connections: 1024
            max_pending_requests: 1024
            max_requests: 4096
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
              {{- $parts := splitList ":" . }}
              - endpoint:
                  address:
                    socket_address: {address: {{ index $parts 0 }}, port_value: {{ index $parts 1 }}}
              {{- end }}
{{- end }}

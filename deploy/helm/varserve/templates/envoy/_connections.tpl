{{- /* The connection manager for gRPC calls: dict "root" . "limits" of varserve.envoyLimits. */}}
{{- define "varserve.envoyCalls" -}}
{{- $envoy := .root.Values.envoy -}}
name: envoy.filters.network.http_connection_manager
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  stat_prefix: varserve
  codec_type: HTTP2
  {{- include "varserve.envoyPatience" $envoy | nindent 2 }}
  http2_protocol_options:
    max_concurrent_streams: 100
    connection_keepalive: {interval: 30s, timeout: 10s}
    # One picture in flight per stream, not 64 KB.
    initial_stream_window_size: 1048576
    initial_connection_window_size: 16777216
  local_reply_config:
    mappers:
      {{- if $envoy.json }}
      {{- include "varserve.envoyOpenAiErrors" . | trim | nindent 6 }}
      {{- end }}
      - filter:
          status_code_filter: {comparison: {op: EQ, value: {default_value: 413, runtime_key: too_large}}}
        headers_to_add:
          - header: {key: grpc-status, value: "8"}  # RESOURCE_EXHAUSTED, as from the server
        body: {inline_string: "request: is larger than max_message_bytes, {{ .limits.message | int64 }}"}
      - filter:
          status_code_filter: {comparison: {op: EQ, value: {default_value: 408, runtime_key: too_slow}}}
        headers_to_add:
          - header: {key: grpc-status, value: "4"}  # DEADLINE_EXCEEDED
        body: {inline_string: "request: did not arrive within {{ $envoy.uploadSeconds | int64 }} seconds"}
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
        # Buffers a request that can be retried until its answer begins.
        request_body_buffer_limit: {{ .limits.request | int64 }}
        routes:
          # Streams in both directions: buffering one until the caller finishes would block its answer forever.
          - match: {prefix: /grpc.reflection.}
            route: {cluster: varserve, timeout: 0s}
            typed_per_filter_config:
              envoy.filters.http.buffer:
                "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute
                disabled: true
          {{- if $envoy.json }}
          # In JSON, pictures are base64. OpenAI's API counts them in its limit as they are.
          - match: {prefix: /v1/}
            {{- include "varserve.envoyRoute" "openai" | nindent 12 }}
          - match:
              prefix: /
              headers:
                - {name: content-type, string_match: {prefix: application/json}}
            {{- include "varserve.envoyRoute" "varserve" | nindent 12 }}
            typed_per_filter_config:
              envoy.filters.http.buffer:
                "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute
                buffer: {max_request_bytes: {{ .limits.json | int64 }}}
          {{- end }}
          - match: {prefix: /}
            {{- include "varserve.envoyRoute" "varserve" | nindent 12 }}
  http_filters:
    # For a replica that rejects a request before the whole picture has arrived: only whole requests can be retried.
    - name: envoy.filters.http.buffer
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer
        max_request_bytes: {{ .limits.request | int64 }}
    {{- if $envoy.json }}
    # POST /varserve.v1.VisionLanguage/Answer with JSON: one JSON line per message of the stream.
    - name: envoy.filters.http.grpc_json_transcoder
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
        proto_descriptor_bin: {{ .root.Files.Get "files/varserve.pb" | b64enc }}
        services: [varserve.v1.VisionLanguage]
        auto_mapping: true
        convert_grpc_status: true
        max_request_body_size: {{ .limits.json | int64 }}
        print_options: {preserve_proto_field_names: true, stream_newline_delimited: true}
    {{- end }}
    - name: envoy.filters.http.router
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
{{- end }}

{{- /* Envoy's own errors for clients of OpenAI's API, as the servers write theirs. */}}
{{- define "varserve.envoyOpenAiErrors" -}}
{{- $large := printf "request: is larger than max_message_bytes, %d" (.limits.message | int64) -}}
{{- $slow := printf "request: did not arrive within %d seconds" (.root.Values.envoy.uploadSeconds | int64) -}}
{{- range list (list 413 $large "invalid_request_error") (list 408 $slow "invalid_request_error") (list 0 "%LOCAL_REPLY_BODY%" "server_error") }}
- filter:
    and_filter:
      filters:
        - header_filter: {header: {name: ":path", string_match: {prefix: /v1/}}}
        - status_code_filter: {comparison: {op: {{ ternary "EQ" "GE" (gt (index . 0) 0) }}, value: {default_value: {{ index . 0 }}, runtime_key: openai_{{ index . 0 }}}}}
  body_format_override:
    json_format: {error: {message: {{ index . 1 | quote }}, type: {{ index . 2 }}}}
{{- end }}
{{- end }}

{{- /* To the servers over gRPC or as OpenAI's API: the cluster's name. */}}
{{- define "varserve.envoyRoute" -}}
route:
  cluster: {{ . }}
  timeout: 0s
  max_stream_duration: {grpc_timeout_header_max: 0s}
  hash_policy:
    - header: {header_name: x-image-digest}
  # Only if no replica has begun to answer: UNAVAILABLE (starting, draining), or no connection.
  retry_policy:
    {{- if eq . "openai" }}
    retry_on: retriable-status-codes,connect-failure,refused-stream
    retriable_status_codes: [503]
    {{- else }}
    retry_on: unavailable,connect-failure,refused-stream
    {{- end }}
    num_retries: 3
    retry_back_off: {base_interval: 0.05s, max_interval: 1s}
    # Each retry looks one place further along the ring, which may be the same replica again.
    host_selection_retry_max_attempts: 64
    retry_host_predicate:
      - name: envoy.retry_host_predicates.previous_hosts
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
{{- end }}

{{- /* HTTP/1.1 (JSON only) is forwarded as HTTP/2, the only protocol for which Envoy counts memory per stream. */}}
{{- define "varserve.envoyJson" -}}
name: envoy.filters.network.http_connection_manager
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  stat_prefix: json
  codec_type: HTTP1
  {{- include "varserve.envoyPatience" . | nindent 2 }}
  route_config:
    name: json
    virtual_hosts:
      - name: json
        domains: ["*"]
        routes:
          - match: {prefix: /}
            route: {cluster: json, timeout: 0s}
  http_filters:
    - name: envoy.filters.http.router
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
{{- end }}

{{- define "varserve.envoyPatience" -}}
request_headers_timeout: 10s
request_timeout: {{ .uploadSeconds | int64 }}s
# A long queue or prefill sends nothing for minutes; pings detect lost clients.
stream_idle_timeout: 3600s
stream_flush_timeout: 60s
max_request_headers_kb: 16
common_http_protocol_options:
  idle_timeout: 300s
  # Long-lived channels reconnect now and then, which spreads them over the proxies.
  max_connection_duration: 1800s
drain_timeout: {{ .drainSeconds | int64 }}s
# Keep the client's request ids: the server logs them.
preserve_external_request_id: true
{{- end }}

{{- /* TLS for clients of the proxy, with one ALPN protocol. */}}
{{- define "varserve.envoyDoor" -}}
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
    common_tls_context:
      alpn_protocols: [{{ . }}]
      tls_params: {tls_minimum_protocol_version: TLSv1_2}
      # Reloaded when Kubernetes swaps the mounted secret's directory.
      tls_certificates:
        - certificate_chain: {filename: /etc/envoy/tls/tls.crt}
          private_key: {filename: /etc/envoy/tls/tls.key}
          watched_directory: {path: /etc/envoy/tls}
{{- end }}

{{- /*
Envoy's configuration, for the chart's replicas or given addresses: dict "root" . "addresses" (list "host:port") "httpAddresses"
(list "host:port"), of gRPC and of OpenAI's API.
*/}}
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
    {{- with dict "root" .root "limits" $limits }}
    {{- include "varserve.envoyReplicas" (merge (dict "name" "varserve" "addresses" $.addresses) .) | nindent 4 }}
    {{- if $envoy.json }}
    {{- include "varserve.envoyReplicas" (merge (dict "name" "openai" "addresses" $.httpAddresses) .) | nindent 4 }}
    {{- end }}
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

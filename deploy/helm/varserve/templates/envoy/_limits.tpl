{{- /*
Envoy's limits, computed from its memory limit and the largest request. As JSON, such a request is in memory as base64, as a
message, and again on its way to a server.
*/}}
{{- define "varserve.envoyLimits" -}}
{{- $size := get .Values.flags "max_message_bytes" | default "64M" -}}
{{- $message := include "varserve.bytes" (dict "name" "flags.max_message_bytes" "value" $size "flag" true) | int64 -}}
{{- $limit := dig "limits" "memory" "" .Values.envoy.resources -}}
{{- if not $limit -}}{{- fail "envoy.resources.limits.memory: is needed; Envoy's limits are shares of it" -}}{{- end -}}
{{- $memory := include "varserve.bytes" (dict "name" "envoy.resources.limits.memory" "value" $limit) | int64 -}}
{{- $least := add 201326592 (mul 9 $message) -}}
{{- if lt $memory $least -}}
{{- $enough := div (add $least 1048575) 1048576 -}}
{{- fail (printf "envoy.resources.limits.memory: %v is too little for requests of %v (flags.max_message_bytes); %dMi is enough" $limit $size $enough) -}}
{{- end -}}
memory: {{ $memory }}
message: {{ $message }}
# The bytes gRPC adds to a message.
request: {{ add $message 1024 }}
json: {{ add (div (mul 4 $message) 3) 65536 }}
# Allows for 100 streams each, of which the overload manager does not count the first 16 KiB.
connections: {{ div $memory 4194304 }}
requests: {{ div $memory 262144 }}
{{- end }}

{{- /* Streams that hold most are reset first, long before memory runs out, because their data may double on the way to a server. */}}
{{- define "varserve.envoyOverload" -}}
overload_manager:
  refresh_interval: 0.1s
  # Streams that hold at least 16 KiB are ranked by size; from 2 MiB on they count as equal.
  buffer_factory_config: {minimum_account_to_track_power_of_two: 14}
  resource_monitors:
    - name: envoy.resource_monitors.fixed_heap
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
        max_heap_size_bytes: {{ .memory | int64 }}
    - name: envoy.resource_monitors.global_downstream_max_connections
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
        max_active_downstream_connections: {{ .connections | int64 }}
  actions:
    # Resets the largest streams until that frees enough memory.
    - name: envoy.overload_actions.reset_high_memory_stream
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          scaled: {scaling_threshold: 0.4, saturation_threshold: 0.5}
    - name: envoy.overload_actions.shrink_heap
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold: {value: 0.4}
    # For many small streams: new calls get UNAVAILABLE.
    - name: envoy.overload_actions.stop_accepting_requests
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold: {value: 0.6}
{{- end }}

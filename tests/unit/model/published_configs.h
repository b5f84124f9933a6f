// config.json of models on the hub. Plain data.
#pragma once

namespace varserve::model {

// config.json as llava-hf/llava-1.5-7b-hf has it: most fields are left to the defaults.
inline constexpr char kOldHubConfig[] = R"({
  "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100, "image_token_index": 32000,
  "model_type": "llava", "pad_token_id": 32001, "projector_hidden_act": "gelu",
  "text_config": {"_name_or_path": "lmsys/vicuna-7b-v1.5", "architectures": ["LlamaForCausalLM"],
                  "max_position_embeddings": 4096, "model_type": "llama", "rms_norm_eps": 1e-05,
                  "torch_dtype": "float16", "vocab_size": 32064},
  "torch_dtype": "float16",
  "vision_config": {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "model_type": "clip_vision_model",
                    "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
                    "vocab_size": 32000},
  "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "vocab_size": 32064})";

// Fields and values as published for Qwen2.5-VL-3B and Qwen2-VL-2B: the decoder's are at the top.
inline constexpr char kQwen2_5VlConfig[] = R"({
  "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "attention_dropout": 0.0,
  "bos_token_id": 151643, "eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653,
  "vision_token_id": 151654, "image_token_id": 151655, "video_token_id": 151656, "hidden_act": "silu",
  "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 11008, "max_position_embeddings": 128000,
  "max_window_layers": 70, "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
  "torch_dtype": "bfloat16", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936,
  "vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
                    "num_heads": 16, "in_chans": 3, "out_hidden_size": 2048, "patch_size": 14,
                    "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
                    "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2},
  "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}})";
// As ./dev convert writes it for VILA1.5-3b.
inline constexpr char kVilaConfig[] = R"({
  "architectures": ["VilaForConditionalGeneration"], "model_type": "vila", "mm_projector_type": "mlp_downsample",
  "image_seq_length": 196, "projector_hidden_act": "gelu", "tie_word_embeddings": false,
  "text_config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2560,
                  "intermediate_size": 6912, "num_hidden_layers": 32, "num_attention_heads": 20,
                  "num_key_value_heads": 20, "vocab_size": 32000, "max_position_embeddings": 4096,
                  "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
                  "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
  "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
                    "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 384, "patch_size": 14,
                    "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-06, "vision_use_head": false},
  "vision_feature_layer": -2, "vision_feature_select_strategy": "full", "torch_dtype": "bfloat16",
  "image_token_index": 0
})";
// As published for InternVL3-1B-hf.
inline constexpr char kInternVlConfig[] = R"({
  "architectures": ["InternVLForConditionalGeneration"], "downsample_ratio": 0.5, "image_seq_length": 256,
  "image_token_id": 151667, "model_type": "internvl", "projector_hidden_act": "gelu", "torch_dtype": "bfloat16",
  "text_config": {"architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151643, "eos_token_id": 151645,
                  "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
                  "max_position_embeddings": 32768, "max_window_layers": 70, "model_type": "qwen2",
                  "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
                  "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"}, "rope_theta": 1000000.0,
                  "sliding_window": null, "use_sliding_window": false, "vocab_size": 151674},
  "vision_config": {"architectures": ["InternVisionModel"], "attention_bias": true, "hidden_act": "gelu",
                    "hidden_size": 1024, "image_size": [448, 448], "intermediate_size": 4096,
                    "layer_norm_eps": 1e-06, "layer_scale_init_value": 0.1, "model_type": "internvl_vision",
                    "norm_type": "layer_norm", "num_attention_heads": 16, "num_channels": 3, "num_hidden_layers": 24,
                    "patch_size": [14, 14], "use_absolute_position_embeddings": true, "use_mask_token": false,
                    "use_mean_pooling": true, "use_qk_norm": false},
  "vision_feature_layer": -1, "vision_feature_select_strategy": "default"})";
// As published for SmolVLM-256M-Instruct.
inline constexpr char kSmolVlmConfig[] = R"({
  "architectures": ["Idefics3ForConditionalGeneration"], "image_token_id": 49190, "model_type": "idefics3",
  "scale_factor": 4, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 49280,
  "text_config": {"_flash_attn_2_enabled": true, "architectures": ["VLlama3ForCausalLM"], "bos_token_id": 1,
                  "eos_token_id": 2, "head_dim": 64, "hidden_act": "silu", "hidden_size": 576,
                  "intermediate_size": 1536, "is_llama_config": true, "max_position_embeddings": 8192,
                  "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
                  "pixel_shuffle_factor": 4, "qk_layer_norms": false, "rms_norm_eps": 1e-05, "rope_interleaved": false,
                  "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": false, "use_resampler": false,
                  "vocab_size": 49280},
  "vision_config": {"hidden_size": 768, "image_size": 512, "max_image_size": {"longest_edge": 512},
                    "model_type": "idefics3", "num_attention_heads": 12, "patch_size": 16,
                    "size": {"longest_edge": 2048}, "tie_word_embeddings": false, "use_base_siglip": false}})";
// As published for llava-v1.6-mistral-7b-hf.
inline constexpr char kLlavaNextConfig[] = R"({
  "architectures": ["LlavaNextForConditionalGeneration"], "ignore_index": -100,
  "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]], "image_seq_length": 576,
  "image_token_index": 32000, "model_type": "llava_next", "projector_hidden_act": "gelu",
  "text_config": {"_name_or_path": "mistralai/Mistral-7B-Instruct-v0.2", "architectures": ["MistralForCausalLM"],
                  "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
                  "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null,
                  "torch_dtype": "bfloat16", "vocab_size": 32064},
  "tie_word_embeddings": false, "torch_dtype": "float16", "use_image_newline_parameter": true,
  "vision_config": {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
                    "model_type": "clip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 24,
                    "patch_size": 14, "projection_dim": 768, "vocab_size": 32000},
  "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "vocab_size": 32064})";
// As published for llava-onevision-qwen2-7b-ov-hf, but for the list of pinpoints.
inline constexpr char kOnevisionConfig[] = R"({
  "architectures": ["LlavaOnevisionForConditionalGeneration"], "ignore_index": -100, "image_token_index": 151646,
  "model_type": "llava_onevision", "projector_hidden_act": "gelu", "tie_word_embeddings": false,
  "text_config": {"_name_or_path": "Qwen/Qwen2-7B-Instruct", "architectures": ["Qwen2ForCausalLM"],
                  "bos_token_id": 151643, "eos_token_id": 151645, "hidden_size": 3584, "intermediate_size": 18944,
                  "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28,
                  "num_key_value_heads": 4, "rope_theta": 1000000.0, "torch_dtype": "bfloat16", "vocab_size": 152000},
  "torch_dtype": "float16", "use_image_newline_parameter": true, "video_token_index": 151647,
  "vision_aspect_ratio": "anyres_max_9",
  "vision_config": {"hidden_size": 1152, "image_size": 384, "intermediate_size": 4304,
                    "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 26,
                    "patch_size": 14, "vision_use_head": false},
  "vision_feature_layer": -1, "vision_feature_select_strategy": "full"})";
// As published for Qwen3-VL-4B-Instruct.
inline constexpr char kQwen3VlConfig[] = R"({
  "architectures": ["Qwen3VLForConditionalGeneration"], "image_token_id": 151655, "model_type": "qwen3_vl",
  "text_config": {"attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643, "dtype": "bfloat16",
                  "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2560,
                  "initializer_range": 0.02, "intermediate_size": 9728, "max_position_embeddings": 262144,
                  "model_type": "qwen3_vl_text", "num_attention_heads": 32, "num_hidden_layers": 36,
                  "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
                  "rope_scaling": {"mrope_interleaved": true, "mrope_section": [24, 20, 20], "rope_type": "default"},
                  "rope_theta": 5000000, "tie_word_embeddings": true, "use_cache": true, "vocab_size": 151936},
  "tie_word_embeddings": true, "transformers_version": "4.57.0.dev0", "video_token_id": 151656,
  "vision_config": {"deepstack_visual_indexes": [5, 11, 17], "depth": 24, "hidden_act": "gelu_pytorch_tanh",
                    "hidden_size": 1024, "in_channels": 3, "initializer_range": 0.02, "intermediate_size": 4096,
                    "model_type": "qwen3_vl", "num_heads": 16, "num_position_embeddings": 2304,
                    "out_hidden_size": 2560, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2},
  "vision_end_token_id": 151653, "vision_start_token_id": 151652})";
inline constexpr char kQwen2VlConfig[] = R"({
  "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "image_token_id": 151655,
  "hidden_act": "silu", "hidden_size": 1536, "intermediate_size": 8960, "max_position_embeddings": 32768,
  "max_window_layers": 28, "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
  "use_sliding_window": false, "vocab_size": 151936,
  "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
                    "hidden_size": 1536, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
                    "temporal_patch_size": 2},
  "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}})";

}  // namespace varserve::model

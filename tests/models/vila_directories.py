"""The files of VILA other than config.json, tokenizer and weights, as ./dev convert writes them."""


def vila_files(spec: dict) -> dict[str, dict]:
    """As ./dev convert writes them: of image_aspect_ratio "resize" and SigLIP, else of "pad" and CLIP."""
    side, config = spec["image_size"], spec["config"]
    siglip = config["vision_config"]["model_type"] == "siglip_vision_model"
    resized = {"size": {"height": side, "width": side}, "do_center_crop": False}
    padded = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "do_pad": True}
    return {
        "preprocessor_config.json": {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5] if siglip else [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "CLIPImageProcessor" if siglip else "LlavaImageProcessor",
            "image_std": [0.5, 0.5, 0.5] if siglip else [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            **(resized if siglip else padded),
        },
        "processor_config.json": {"image_seq_length": 9 if siglip else 16, "processor_class": "VilaProcessor"},
    }

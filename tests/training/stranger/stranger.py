"""The code of a small model that is fed as MiniCPM-V 2.6 is: one batch as one argument, images as a mark in the text.

It is copied into a model folder and imported from there, as code that comes with a model is.
"""

import torch
import transformers

MARK = "(<image>./</image>)"


class StrangerConfig(transformers.PreTrainedConfig):
    model_type = "minicpmv"

    def __init__(self, vocab_size=300, hidden_size=32, vision_batch_size=2, **more):
        self.vocab_size = vocab_size
        self.vision_batch_size = vision_batch_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = 2
        super().__init__(**more)


class Stranger(transformers.PreTrainedModel):
    config_class = StrangerConfig
    supports_gradient_checkpointing = True

    def __init__(self, config):
        super().__init__(config)
        inner = transformers.LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=512,
        )
        self.llm = transformers.LlamaForCausalLM(inner)
        self.vpm = torch.nn.Linear(3, 16)
        self.resampler = torch.nn.Linear(16, config.hidden_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.llm.get_input_embeddings()

    def get_output_embeddings(self):
        return self.llm.lm_head

    def forward(self, data, **kwargs):
        embeds = self.llm.get_input_embeddings()(data["input_ids"])
        flat = [picture.mean((1, 2)) for its in data["pixel_values"] for picture in its]
        some = torch.stack(flat).split(self.config.vision_batch_size) if flat else ()
        seen = iter([each for one in some for each in self.resampler(self.vpm(one))])
        for row, bounds in enumerate(data["image_bound"]):
            for start, end in bounds:
                embeds = embeds.index_put(
                    (torch.tensor([row]), torch.arange(start, end)), next(seen).expand(end - start, -1).to(embeds.dtype)
                )
        return self.llm(input_ids=None, inputs_embeds=embeds, position_ids=data["position_ids"], **kwargs)


class StrangerProcessor(transformers.ProcessorMixin):
    attributes = ("image_processor", "tokenizer")
    image_processor_class = "AutoImageProcessor"
    tokenizer_class = "AutoTokenizer"

    def __init__(self, image_processor=None, tokenizer=None, **more):
        super().__init__(image_processor, tokenizer, **more)

    def __call__(self, text=None, images=None, **more):
        """Four tokens an image; rows are filled up on the left."""
        unknown = self.tokenizer.pad_token_id
        rows, bounds = [], []
        for at, each in enumerate(text):
            first, *others = each.split(MARK)
            ids, bound = self.tokenizer.encode(first, add_special_tokens=False), []
            if images is not None and len(others) != len(images[at]):
                raise ValueError("marks and images differ")
            for other in others:
                bound.append((len(ids), len(ids) + 4))
                ids = [*ids, *[unknown] * 4, *self.tokenizer.encode(other, add_special_tokens=False)]
            rows.append(ids)
            bounds.append(bound)
        longest = max(map(len, rows))
        gaps = [longest - len(row) for row in rows]
        batch = {
            "input_ids": torch.tensor([[unknown] * gap + row for gap, row in zip(gaps, rows, strict=True)]),
            "attention_mask": torch.tensor([[0] * gap + [1] * len(row) for gap, row in zip(gaps, rows, strict=True)]),
        }
        if images is None:
            return batch
        pixels = [[self.image_processor(one, return_tensors="pt")["pixel_values"][0] for one in its] for its in images]
        moved = [[(a + gap, b + gap) for a, b in its] for gap, its in zip(gaps, bounds, strict=True)]
        return {**batch, "pixel_values": pixels, "image_bound": moved, "tgt_sizes": [[] for _ in rows]}

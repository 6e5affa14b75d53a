"""How the families are spoken to: chat templates in our own words that write what the published ones write."""

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}{{ IMAGE if part.type == 'image' else part.text }}{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""

QWEN3 = CHATML.replace("IMAGE", "'<|vision_start|><|image_pad|><|vision_end|>'")
#: As above, with a system message of its own where none is given.
QWEN2 = (
    "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{%- endif -%}" + QWEN3
)
INTERNVL = CHATML.replace("IMAGE", "'<IMG_CONTEXT>\\n'")

#: Images first, whatever stands before them.
LLAVA_QWEN = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + ' ' }}
{%- for part in message.content if part.type == 'image' -%}{{ '<image>' }}{%- endfor -%}
{%- for part in message.content if part.type == 'text' -%}{{ '\\n' + part.text }}{%- endfor -%}
{{ '<|im_end|>' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""

LLAVA_MISTRAL = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ '<<SYS>>\\n' + message.content[0].text + '\\n<</SYS>>\\n\\n' }}
{%- elif message.role == 'user' -%}{{ '[INST] ' }}
{%- for part in message.content if part.type == 'image' -%}{{ '<image>\\n' }}{%- endfor -%}
{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
{{ ' [/INST]' }}
{%- else -%}{{ ' ' + message.content[0].text + '</s> ' }}
{%- endif -%}
{%- endfor -%}"""

#: The space after the colon is missing where an image comes first.
IDEFICS3 = """\
{{- '<|begin_of_text|>' -}}
{%- for message in messages -%}
{{ message.role | capitalize + (':' if message.content[0].type == 'image' else ': ') }}
{%- for part in message.content -%}{{ '<image>' if part.type == 'image' else part.text }}{%- endfor -%}
{{ '<end_of_utterance>\\n' }}
{%- endfor -%}
{{ 'Assistant:' if add_generation_prompt else '' }}"""
SMOLVLM = IDEFICS3.replace("<|begin_of_text|>", "<|im_start|>")

#: A system message becomes the beginning of the first question.
GEMMA3 = """\
{{- bos_token -}}
{%- set first = '' -%}
{%- if messages[0].role == 'system' -%}
{%- set first = (messages[0].content if messages[0].content is string else messages[0].content[0].text) + '\\n\\n' -%}
{%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('the turns must alternate') }}
{%- endif -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' + (first if loop.first else '') }}
{%- if message.content is string -%}{{ message.content | trim }}
{%- else -%}
{%- for part in message.content -%}{{ '<start_of_image>' if part.type == 'image' else part.text | trim }}{%- endfor -%}
{%- endif -%}
{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{{ '<start_of_turn>model\\n' if add_generation_prompt else '' }}"""

#: Takes a system message, and takes images, and refuses both together.
MLLAMA = """\
{%- set seen = namespace(image=false) -%}
{%- for message in messages -%}
{%- for part in message.content if part.type == 'image' -%}{%- set seen.image = true -%}{%- endfor -%}
{%- endfor -%}
{%- if messages[0].role == 'system' and seen.image -%}
{{ raise_exception('images and a system message do not go together') }}
{%- endif -%}
{{ bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}{{ '<|image|>' if part.type == 'image' else part.text }}{%- endfor -%}
{%- endif -%}
{{ '<|eot_id|>' }}
{%- endfor -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' if add_generation_prompt else '' }}"""

"""Two real vocabularies of a few hundred tokens: byte-level BPE and SentencePiece BPE, with their merges."""

WORDS = "t,h th,e h,e i,n e,r a,n o,n r,e _,t _t,he _,a in,g o,u _,s _,w an,d _,o o,r e,n _,b e,d i,t _a,n d,l l,l _,c i,s"
CONTROL, UNKNOWN, NORMAL, BYTE = 3, 2, 1, 6


def byte_chars():
    """The character that stands for each byte: itself where it prints, U+0100 and up, in order, elsewhere."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown}
    table.update({b: chr(0x100 + i) for i, b in enumerate(hidden)})
    return [table[b] for b in range(256)]


def merges(space):
    return [tuple(pair.replace("_", space).split(",")) for pair in WORDS.split()]


class Bpe:
    """Every byte, the merges, and two control tokens behind them."""

    kind, pre = "gpt2", "llama-bpe"

    def __init__(self):
        self.merges = merges("\u0120")
        self.control = ["<|begin_of_text|>", "<|end_of_text|>"]
        self.tokens = byte_chars() + [a + b for a, b in self.merges] + self.control
        self.types = [NORMAL] * (len(self.tokens) - 2) + [CONTROL] * 2
        self.scores = None
        self.bos, self.eos = len(self.tokens) - 2, len(self.tokens) - 1

    def tokenizer_json(self):
        split = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                 r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        regex = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
        begin = {"SpecialToken": {"id": self.control[0], "type_id": 0}}
        return {
            "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
            "added_tokens": [added(self.tokens.index(text), text) for text in self.control],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [regex, byte_level]},
            "post_processor": {
                "type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {self.control[0]: {"id": self.control[0], "ids": [self.bos], "tokens": [self.control[0]]}}},
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                "vocab": {text: i for i, text in enumerate(self.tokens[:-2])},
                "merges": [" ".join(pair) for pair in self.merges]}}


class Spm:
    """<unk> <s> </s>, a token for every byte, letters, and what merges make of them, likelier first."""

    kind, pre = "llama", None

    def __init__(self):
        self.merges = merges("\u2581")
        self.control = ["<unk>", "<s>", "</s>"]
        joined = [a + b for a, b in self.merges]
        letters = ["\u2581", *"etaoinshrdlucmfwypvbgkqjxz", *"ETAOINS.,'!?"]
        self.tokens = self.control + [f"<0x{b:02X}>" for b in range(256)] + joined + letters
        self.types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(joined) + len(letters))
        self.scores = [0.0] * 259 + [-float(i) for i in range(len(joined) + len(letters))]
        self.bos, self.eos = 1, 2

    def tokenizer_json(self):
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
        begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
        return {
            "version": "1.0", "truncation": None, "padding": None, "pre_tokenizer": None,
            "added_tokens": [added(i, text) for i, text in enumerate(self.control)],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]},
            "post_processor": {
                "type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": [
                back, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {
                "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                "vocab": {text: i for i, text in enumerate(self.tokens)},
                "merges": [" ".join(pair) for pair in self.merges]}}


def added(i, text):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True}

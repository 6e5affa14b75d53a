"""Where VLMEvalKit, and the data sets with their own task, were published."""

from __future__ import annotations

from typing import Final

from harness.contracts import Paper

VLMEVALKIT: Final = Paper(
    key="duan2024vlmevalkit",
    title="VLMEvalKit: An Open-Source Toolkit for Evaluating Large Multi-Modality Models",
    authors=(
        "Haodong Duan", "Junming Yang", "Yuxuan Qiao", "Xinyu Fang", "Lin Chen", "Yuan Liu", "Xiaoyi Dong",
        "Yuhang Zang", "Pan Zhang", "Jiaqi Wang", "Dahua Lin", "Kai Chen",
    ),
    year=2024,
    venue="Proceedings of the 32nd ACM International Conference on Multimedia",
    arxiv="2407.11691",
)  # fmt: skip
MMSTAR: Final = Paper(
    key="chen2024mmstar",
    title="Are We on the Right Way for Evaluating Large Vision-Language Models?",
    authors=(
        "Lin Chen", "Jinsong Li", "Xiaoyi Dong", "Pan Zhang", "Yuhang Zang", "Zehui Chen", "Haodong Duan",
        "Jiaqi Wang", "Yu Qiao", "Dahua Lin", "Feng Zhao",
    ),
    year=2024,
    arxiv="2403.20330",
)  # fmt: skip
MMMU: Final = Paper(
    key="yue2024mmmu",
    title="MMMU: A Massive Multi-discipline Multimodal Understanding and Reasoning Benchmark for Expert AGI",
    authors=(
        "Xiang Yue", "Yuansheng Ni", "Kai Zhang", "Tianyu Zheng", "Ruoqi Liu", "Ge Zhang", "Samuel Stevens",
        "Dongfu Jiang", "Weiming Ren", "Yuxuan Sun", "Cong Wei", "Botao Yu", "Ruibin Yuan", "Renliang Sun",
        "Ming Yin", "Boyuan Zheng", "Zhenzhu Yang", "Yibo Liu", "Wenhao Huang", "Huan Sun", "Yu Su", "Wenhu Chen",
    ),
    year=2024,
    venue="Proceedings of CVPR",
    arxiv="2311.16502",
)  # fmt: skip
MUIRBENCH: Final = Paper(
    key="wang2025muirbench",
    title="MuirBench: A Comprehensive Benchmark for Robust Multi-image Understanding",
    authors=(
        "Fei Wang", "Xingyu Fu", "James Y. Huang", "Zekun Li", "Qin Liu", "Xiaogeng Liu", "Mingyu Derek Ma", "Nan Xu",
        "Wenxuan Zhou", "Kai Zhang", "Tianyi Lorena Yan", "Wenjie Jacky Mo", "Hsiang-Hui Liu", "Pan Lu",
        "Chunyuan Li", "Chaowei Xiao", "Kai-Wei Chang", "Dan Roth", "Sheng Zhang", "Hoifung Poon", "Muhao Chen",
    ),
    year=2025,
    venue="International Conference on Learning Representations",
    arxiv="2406.09411",
)  # fmt: skip
MMT_BENCH: Final = Paper(
    key="ying2024mmtbench",
    title="MMT-Bench: A Comprehensive Multimodal Benchmark for Evaluating Large Vision-Language Models Towards "
    "Multitask AGI",
    authors=(
        "Kaining Ying", "Fanqing Meng", "Jin Wang", "Zhiqian Li", "Han Lin", "Yue Yang", "Hao Zhang", "Wenbo Zhang",
        "Yuqi Lin", "Shuo Liu", "Jiayi Lei", "Quanfeng Lu", "Runjian Chen", "Peng Xu", "Renrui Zhang", "Haozhe Zhang",
        "Peng Gao", "Yali Wang", "Yu Qiao", "Ping Luo", "Kaipeng Zhang", "Wenqi Shao",
    ),
    year=2024,
    arxiv="2404.16006",
)  # fmt: skip
HALLUSIONBENCH: Final = Paper(
    key="guan2024hallusionbench",
    title="HallusionBench: An Advanced Diagnostic Suite for Entangled Language Hallucination and Visual "
    "Illusion in Large Vision-Language Models",
    authors=(
        "Tianrui Guan", "Fuxiao Liu", "Xiyang Wu", "Ruiqi Xian", "Zongxia Li", "Xiaoyu Liu", "Xijun Wang",
        "Lichang Chen", "Furong Huang", "Yaser Yacoob", "Dinesh Manocha", "Tianyi Zhou",
    ),
    year=2024,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    arxiv="2310.14566",
)  # fmt: skip
POPE: Final = Paper(
    key="li2023pope",
    title="Evaluating Object Hallucination in Large Vision-Language Models",
    authors=(
        "Yifan Li", "Yifan Du", "Kun Zhou", "Jinpeng Wang", "Wayne Xin Zhao", "Ji-Rong Wen",
    ),
    year=2023,
    venue="Proceedings of the 2023 Conference on Empirical Methods in Natural Language Processing",
    arxiv="2305.10355",
)  # fmt: skip

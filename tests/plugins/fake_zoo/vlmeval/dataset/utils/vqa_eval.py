"""How several matches of one answer become its hit."""


def hit_calculate(result, dataset_name):
    assert dataset_name == "TextVQA_VAL"
    return [sum(each["match"]) / len(each["match"]) for each in result]

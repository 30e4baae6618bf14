import pytest

from experiments.errors import Parser, UserError, check_choice, did_you_mean, exit_on_user_error


def test_a_message_is_one_line():
    assert str(UserError("expected this;\n  got that")) == "expected this; got that"


@pytest.mark.parametrize(
    ("word", "hint"), [("sdg", "; did you mean sgd?"), ("ada", "; did you mean adam or adamw?"), ("xyz", ""), (3, "")]
)
def test_similar_names_are_suggested(word, hint):
    assert did_you_mean(word, ["adam", "adamw", "sgd"]) == hint


def test_a_choice_is_checked():
    check_choice("optimizer", "sgd", ["adam", "sgd"])
    with pytest.raises(UserError, match=r"optimizer: expected one of adam, sgd; got 'adm'; did you mean adam\?"):
        check_choice("optimizer", "adm", ["adam", "sgd"])


def test_mistakes_end_with_one_line_and_code_2(capsys):
    with pytest.raises(UserError, match="unrecognized arguments: --x"):
        Parser().parse_args(["--x"])
    with pytest.raises(SystemExit, match="2"), exit_on_user_error():
        raise UserError("a mistake")
    assert capsys.readouterr().err == "error: a mistake\n"

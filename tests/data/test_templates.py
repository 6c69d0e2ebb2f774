from vcore_verl.data import templates


def test_the_math_instruction_is_the_papers():
    assert templates.math(" What is 1+2?\n") == (
        "You are a helpful and accurate assistant for solving the following math problem:\nWhat is 1+2?\n\n"
        "Please reason step by step, and put the correct answer within \\boxed{} at last."
    )


def test_options_are_lettered():
    text = templates.multiple_choice("Which is prime?", ["4", " 5 "])
    assert "\nWhich is prime?\n\nOptions are:\n(A): 4\n(B): 5\n\nPlease reason step by step" in text

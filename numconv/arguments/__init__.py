"""User arguments → problems.  What a user can get wrong is refused here and nowhere else, before any kernel runs.

    values        Subject, which makes every error; integers per axis, paddings, choices
    types         which types meet, and in which type the result comes
    request       what a builder returns: problems in turn, a view of each array; and checks of images, weights and bias
    convolution, transposed, gradients, signal, operators, compositions
                  the builders, one for each form of arguments

A builder is pure: it sees shapes and dtypes (`Spec`), never data.
"""

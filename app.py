"""The Space: a Gradio page over `chat/`. MODEL_ID (path or Hub id) picks the model, ENGINE how it runs.

python app.py
MODEL_ID=user/model python app.py
"""

import signal
import sys

from chat.cli import UserError, run


def main() -> None:
    if sys.argv[1:] in (["-h"], ["--help"]):
        return print(__doc__.strip())
    if sys.argv[1:]:
        raise UserError(
            f"{sys.argv[1]}: app.py takes no flags; set variables, such as MODEL_ID (see the README)"
        )
    # The first process of a container ignores SIGTERM unless it asks for it, also while the model is loaded.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from chat.page.variables import PageVariables

    variables = PageVariables.from_environment()
    from chat.engine import MODEL_VARIABLE, load_engine
    from chat.page.about import corpora_of
    from chat.page.layout import build_page
    from chat.page.server import feedback_log, launch, wait_for_end

    log = feedback_log(variables)
    engine = load_engine(variables.model, flag=MODEL_VARIABLE, engine=variables.engine)
    page = build_page(engine, log, variables.concurrent_replies, corpora_of(variables.model))
    launch(page, engine, variables)
    wait_for_end(page, engine, log)


if __name__ == "__main__":
    run(main)

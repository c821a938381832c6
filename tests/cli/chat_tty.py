"""`bitnet chat` on a pseudo-terminal: what a person sees and what the keys do.

Each case types into the terminal and waits for what must appear; a case that waits in vain fails with
everything that was shown. Answers are greedy, so their words are known: the shipped model goes on from
"Once upon a time" with " there was a king who had three sons".
"""
import os
import pty
import select
import signal
import subprocess
import time

TIMEOUT_S = 60  # a sanitizer build on a busy machine
KING = "there was a king who had three"
UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"
ENDLESS = ["-c", "200000", "--logit-bias", "4095-inf"]  # a window that takes minutes to fill


class Failure(Exception):
    pass


class Chat:
    def __init__(self, folder, *options):
        self.seen, self.mark = "", 0
        argv = [str(folder / "bin/bitnet"), "chat", "--temp", "0", "-t", "1", *options]
        env = {k: v for k, v in os.environ.items() if not k.startswith("BITNET_")}
        env.update(TERM="xterm", LC_ALL="C.UTF-8", HOME=str(folder))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(argv[0], argv, env)

    def read(self, timeout):
        """False at the end of the output."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # Linux: the other side has closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def wait(self, text):
        """Until text appears behind what was waited for before."""
        end = time.monotonic() + TIMEOUT_S
        while (at := self.seen.find(text, self.mark)) < 0:
            if time.monotonic() > end or not self.read(0.2):
                raise Failure(f"{text!r} did not appear after byte {self.mark}")
        self.mark = at + len(text)

    def type(self, text):
        os.write(self.fd, text.encode())

    def ask(self, text):
        self.wait("> ")
        self.type(text + "\n")

    def status(self):
        """The exit status, once the program has ended by itself. A Ctrl-D that comes after the prompt and before the
        line editor has the terminal is lost, as for a person, who types it again."""
        end = time.monotonic() + TIMEOUT_S
        again = time.monotonic() + 5
        while self.read(0.2):
            if time.monotonic() > end:
                raise Failure("the program does not end")
            if time.monotonic() > again:
                again += 5
                self.type(CTRL_D)
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def expect_status(chat, want):
    got = chat.status()
    if got != want:
        raise Failure(f"exit status {got}, expected {want}")


def answers_follow_questions_and_ctrl_d_leaves(folder):
    chat = Chat(folder, "-n", "9")
    yield chat
    chat.wait("no chat template")
    chat.ask("Once upon a time")
    chat.wait(KING)
    chat.ask("/stats")
    chat.wait("1 turn |")
    chat.wait("TTFT")
    chat.ask("/nonsense")
    chat.wait("there is no command /nonsense")
    chat.ask("The fox")
    chat.ask("/stats")
    chat.wait("2 turns")
    chat.wait("> ")
    chat.type(CTRL_D)
    expect_status(chat, 0)


def ctrl_c_stops_an_answer_and_keeps_the_conversation(folder):
    chat = Chat(folder, *ENDLESS)
    yield chat
    chat.ask("Once upon a time")
    chat.wait(KING)
    chat.type(CTRL_C)
    chat.ask("/stats")
    chat.wait("cancelled")
    chat.ask("/save kept.json")
    chat.wait("2 messages saved")
    if KING not in (folder / "kept.json").read_text():
        raise Failure(f"kept.json lacks the half answer: {(folder / 'kept.json').read_text()[:300]!r}")
    chat.ask("/exit")
    expect_status(chat, 0)


def ctrl_c_twice_at_the_prompt_leaves_with_130_when_nothing_was_said(folder):
    chat = Chat(folder)
    yield chat
    chat.wait("> ")
    chat.type("half a line" + CTRL_C)
    chat.wait("Ctrl-C again")
    chat.wait("> ")
    chat.type(CTRL_C)
    expect_status(chat, 130)


def ctrl_c_twice_after_an_answer_leaves_with_0_and_a_line_between_them_counts_anew(folder):
    chat = Chat(folder, "-n", "9")
    yield chat
    chat.wait("> ")
    chat.type(CTRL_C)
    chat.wait("Ctrl-C again")
    chat.ask("Once upon a time")
    chat.wait(KING)
    chat.wait("> ")
    chat.type(CTRL_C)
    chat.wait("Ctrl-C again")
    chat.wait("> ")
    chat.type(CTRL_C)
    expect_status(chat, 0)


def the_arrow_brings_back_the_line_before(folder):
    chat = Chat(folder, "-n", "9")
    yield chat
    chat.ask("Once upon a time")
    chat.wait(KING)
    chat.ask("/clear")
    chat.wait("forgotten")
    chat.wait("> ")
    chat.type(UP + UP + "\n")
    chat.wait(KING)
    chat.ask("/exit")
    expect_status(chat, 0)


def a_backslash_goes_on_in_the_next_line(folder):
    chat = Chat(folder, "-n", "2")
    yield chat
    chat.ask("one\\")
    chat.wait(". ")
    chat.type("two é\n")
    chat.ask("/save lines.json")
    chat.wait("2 messages saved")
    if '"one\\ntwo é"' not in (text := (folder / "lines.json").read_text()):
        raise Failure(f"lines.json lacks the two lines: {text!r}")
    chat.wait("> ")  # before it the terminal itself takes a Ctrl-D
    chat.type(CTRL_D)
    expect_status(chat, 0)


def a_full_window_forgets_the_oldest_turns_and_says_so(folder):
    chat = Chat(folder, "-n", "9", "-c", "48", "--system", "A tale.")
    yield chat
    for question in ("Once upon a time", " The fox said", " The king said", " The boy said"):
        chat.ask(question)
    chat.wait("oldest")
    chat.wait("messages are forgotten")
    chat.ask("/save short.json")
    chat.wait("messages saved")
    text = (folder / "short.json").read_text()
    if "A tale." not in text or "Once upon" in text or "The boy said" not in text:
        raise Failure(f"short.json is not the system message and the latest turns: {text!r}")
    chat.ask("/exit")
    expect_status(chat, 0)


def a_file_that_is_no_conversation_changes_nothing(folder):
    chat = Chat(folder, "-n", "9")
    yield chat
    bad = {"form": "{", "list": "[]", "role": '{"messages":[{"role":"tool","content":"x"}]}',
           "late": '{"messages":[{"role":"user","content":"x"},{"role":"system","content":"x"}]}',
           "zero": '{"messages":[{"role":"user","content":"x\\u0000y"}]}',
           "type": '{"messages":[{"role":"user","content":5}]}', "deep": "[" * 100000}
    chat.ask("Once upon a time")
    chat.wait(KING)
    for name, text in bad.items():
        (folder / name).write_text(text)
        chat.ask(f"/load {name}")
        chat.wait("[chat.load]")
    (folder / "utf8").write_bytes(b'{"messages":[{"role":"user","content":"a\xff"}]}')
    chat.ask("/load utf8")
    chat.wait("error: ")
    chat.ask("/load missing")
    chat.wait("[file.open]")
    chat.ask("/save still.json")
    chat.wait("2 messages saved")
    chat.ask("/load still.json")
    chat.wait("2 messages loaded")
    chat.ask("/exit")
    expect_status(chat, 0)


CASES = [answers_follow_questions_and_ctrl_d_leaves, ctrl_c_stops_an_answer_and_keeps_the_conversation,
         ctrl_c_twice_at_the_prompt_leaves_with_130_when_nothing_was_said,
         ctrl_c_twice_after_an_answer_leaves_with_0_and_a_line_between_them_counts_anew,
         the_arrow_brings_back_the_line_before, a_backslash_goes_on_in_the_next_line,
         a_full_window_forgets_the_oldest_turns_and_says_so, a_file_that_is_no_conversation_changes_nothing]


def cells():
    return {case.__name__.replace("_", " "): case for case in CASES}


def has_editor(folder):
    found = subprocess.run(["ldd", folder / "bin/bitnet"], capture_output=True, text=True, check=False)
    return "libedit" in found.stdout


def run(case, folder):
    if case is the_arrow_brings_back_the_line_before and not has_editor(folder):
        return "skip", ["this build has no line editor (libedit)"]
    steps = case(folder)
    chat = next(steps)
    try:
        next(steps, None)
    except (Failure, OSError) as e:
        return "not ok", [str(e), f"shown: {chat.seen[-1500:]!r}"]
    finally:
        chat.close()
    return "ok", []

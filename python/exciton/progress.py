"""What a person sees while a run works: a bar in a terminal, a line in a notebook that changes, or plain lines."""
import sys
import time
from typing import Any

from ._exciton import EpochLine, Observer, RunInfo, StepProgress

__all__ = ["ProgressBar"]


def _notebook_display() -> Any:
    """IPython's display(), where a notebook runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display
    return display


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class ProgressBar(Observer):
    """Draws at most `rate` times a second; without a terminal one line after each epoch."""

    def __init__(self, rate: float = 5, width: int = 24) -> None:
        super().__init__()
        self._interval, self._width = 1 / rate, width
        self._display, self._handle = _notebook_display(), None
        self._terminal = self._display is None and sys.stderr.isatty()
        self._drawn = self._began = 0.0
        self._first = 0

    def started(self, info: RunInfo) -> None:
        for note in info.notes:
            self._line(note)
        self._line(f"{info.model}, {info.parameters} parameters, {info.dtype}, {info.threads} threads, seed "
                   f"{info.seed}; {info.epochs} epochs of {info.steps_per_epoch} steps, batch {info.batch}")
        self._began, self._first = time.monotonic(), info.first_step

    def step(self, progress: StepProgress) -> None:
        now = time.monotonic()
        if now - self._drawn < self._interval or not (self._display or self._terminal):
            return
        self._drawn = now
        done = progress.step / max(1, progress.steps)
        filled = int(done * self._width)
        left = (now - self._began) * (progress.steps - progress.step) / max(1, progress.step - self._first)
        details = f"testing, {progress.tested} images" if progress.testing else (
            f"loss {progress.loss:.3f}  top-1 {100 * progress.top1:.1f} %  {progress.images_per_second:.0f} images/s")
        self._draw(f"epoch {progress.epoch}/{progress.epochs} {'█' * filled}{'·' * (self._width - filled)} "
                   f"{100 * done:3.0f} %  {_duration(left)} left  {details}")

    def epoch(self, line: EpochLine) -> None:
        width = len(str(line.epochs))
        self._line(f"epoch {line.epoch:{width}}/{line.epochs}  train loss {line.train_loss:.4f} top-1 "
                   f"{100 * line.train_top1:.2f} %  {line.measured_on} loss {line.loss:.4f} top-1 "
                   f"{100 * line.top1:.2f} %  {line.images_per_second:.0f} images/s{'  *' if line.best else ''}")
        if line.epoch == line.epochs:
            self._clear()

    def warning(self, text: str) -> None:
        self._line("warning: " + text)

    def _draw(self, text: str) -> None:
        if self._terminal:
            print("\r\x1b[K" + text, end="", file=sys.stderr, flush=True)
        elif self._handle is None:
            self._handle = self._display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)

    def _clear(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        elif self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)
            self._handle = None

    def _line(self, text: str) -> None:
        if self._terminal:
            self._clear()
        print(text, flush=True)

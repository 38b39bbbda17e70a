"""What a machine has run out of, memory, disk or file handles, as an error of ours."""

import errno

from verydeep.errors import ResourceError

_USED_UP = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


def exhausted(error: BaseException) -> ResourceError | None:
    """`error` as a ResourceError, code RESOURCE or MEMORY, where it says that something ran out; else None."""
    if isinstance(error, OSError) and error.errno in _USED_UP:
        where = f"{error.filename}: " if error.filename else ""
        return ResourceError(f"{where}{error.strerror}", code="RESOURCE", hint="Make room, then try again.")
    if _is_out_of_memory(error):
        return ResourceError(
            "there is not enough memory", code="MEMORY", hint="Give a smaller --batch, or a smaller network."
        )
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    # PyTorch's own are RuntimeErrors, and this file does not import it.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error))
    )

"""Every exception that spikewire raises on purpose.

An error is a `SpikewireError` *and* the built-in class that SpikeInterface
raises for the same mistake, so code written for either catches it.

::

    SpikewireError
    ├── SortingNotFoundError      (LookupError, ValueError)
    │   └── SortingFileNotFoundError (FileNotFoundError)
    ├── UnitNotFoundError         (ValueError)
    ├── UnitSelectionError        (AssertionError, ValueError)
    ├── SegmentIndexError         (IndexError)
    ├── SegmentRequiredError      (ValueError)
    ├── InvalidValueError         (ValueError)
    │   ├── InvalidNameError
    │   └── OffsetOutOfRangeError
    ├── InvalidTypeError          (TypeError)
    ├── ContractError             (AssertionError)
    │   └── UnknownClassError
    ├── PropertyNotFoundError     (LookupError)
    ├── AnnotationNotFoundError   (LookupError, ValueError)
    ├── FormatError               (ValueError)
    │   ├── NotASortingError
    │   ├── UnsafeContentError
    │   └── MalformedMessageError
    ├── NeedsSamplingFrequencyError (ValueError)
    ├── DumpError                 (ValueError)
    ├── SortingExistsError        (FileExistsError, ValueError)
    ├── ReadOnlyError             (PermissionError)
    ├── ContentChangedError       (RuntimeError)
    │   └── RevisionMismatchError
    ├── EtagMismatchError         (RuntimeError)
    ├── LimitExceededError        (RuntimeError)
    ├── UploadIncompleteError     (RuntimeError)
    ├── WriterFencedError         (RuntimeError)
    ├── SequenceGapError          (ValueError)
    ├── RecordConflictError       (ValueError)
    ├── RevisionExpiredError      (LookupError)
    ├── NotRecordingError         (RuntimeError)
    ├── StoreUnwritableError      (OSError)
    ├── SpoolFullError            (OSError)
    ├── MissingExtraError         (ImportError)
    └── RemoteError               (RuntimeError)
        ├── ServerUnavailableError  (ConnectionError)
        ├── DeadlineExceededError   (TimeoutError)
        ├── NotSupportedByServerError (NotImplementedError)
        └── InternalServerError
"""

from __future__ import annotations


class SpikewireError(Exception):
    """Any error that spikewire raises on purpose."""


class SortingNotFoundError(SpikewireError, LookupError, ValueError):
    """No sorting has this name, or nothing lies at this path."""


class SortingFileNotFoundError(SortingNotFoundError, FileNotFoundError):
    """There is no file or folder at the path of a sorting."""


class UnitNotFoundError(SpikewireError, ValueError):
    """The sorting has no such unit."""


class UnitSelectionError(SpikewireError, AssertionError, ValueError):
    """A selection or renaming of units names unknown, repeated or ill-typed ids."""


class SegmentIndexError(SpikewireError, IndexError):
    """The segment index is out of range."""


class SegmentRequiredError(SpikewireError, ValueError):
    """The sorting has several segments and none was chosen."""


class InvalidValueError(SpikewireError, ValueError):
    """An argument has a value that it cannot have."""


class InvalidNameError(InvalidValueError):
    """The text is not a name that a sorting, property or annotation can have."""


class OffsetOutOfRangeError(InvalidValueError):
    """The offset to resume a stream from lies beyond its end."""


class InvalidTypeError(SpikewireError, TypeError):
    """An argument has a type that it cannot have."""


class ContractError(SpikewireError, AssertionError):
    """A call breaks a rule that SpikeInterface states as an assertion."""


class UnknownClassError(ContractError):
    """A dump names a class that is not a known extractor."""


class PropertyNotFoundError(SpikewireError, LookupError):
    """The sorting has no such property."""


class AnnotationNotFoundError(SpikewireError, LookupError, ValueError):
    """The sorting has no such annotation."""


class FormatError(SpikewireError, ValueError):
    """A file is damaged, or is not of the format that it should be."""


class NotASortingError(FormatError):
    """A file or folder is not a sorting of a known format."""


class UnsafeContentError(FormatError):
    """A file holds pickled objects, or code, where data was expected."""


class MalformedMessageError(FormatError):
    """A message breaks a rule of the protocol."""


class NeedsSamplingFrequencyError(SpikewireError, ValueError):
    """The files hold no sampling frequency and none was given."""


class DumpError(SpikewireError, ValueError):
    """A dump dict is malformed or cannot be made into a sorting."""


class SortingExistsError(SpikewireError, FileExistsError, ValueError):
    """Something else has this name, or lies at this path, already."""


class ReadOnlyError(SpikewireError, PermissionError):
    """The name lies below a root, or the sorting was opened for reading only."""


class ContentChangedError(SpikewireError, RuntimeError):
    """The files of a sorting changed while they were read."""


class RevisionMismatchError(ContentChangedError):
    """The content is not, or no longer, of the revision that was pinned."""


class EtagMismatchError(SpikewireError, RuntimeError):
    """Somebody else wrote this property or annotation since it was read."""


class LimitExceededError(SpikewireError, RuntimeError):
    """A limit of the server was exceeded."""


class UploadIncompleteError(SpikewireError, RuntimeError):
    """An upload ended before everything that it announced had come."""


class WriterFencedError(SpikewireError, RuntimeError):
    """Another writer took over the acquisition."""


class SequenceGapError(SpikewireError, ValueError):
    """A record of an acquisition does not follow the one before it."""


class RecordConflictError(SpikewireError, ValueError):
    """A repeated record differs from the one that the acquisition has."""


class RevisionExpiredError(SpikewireError, LookupError):
    """The log that could tell an acquisition's earlier revision is gone."""


class NotRecordingError(SpikewireError, RuntimeError):
    """The sorting is not an acquisition, or one that has ended."""


class StoreUnwritableError(SpikewireError, OSError):
    """The store cannot be written: its disk is full or failing."""


class SpoolFullError(SpikewireError, OSError):
    """The rig's spool cannot take more: it is at its limit, or its disk is full or failing."""


class MissingExtraError(SpikewireError, ImportError):
    """A feature needs an optional dependency that is not installed."""


class RemoteError(SpikewireError, RuntimeError):
    """A call to a server failed."""


class ServerUnavailableError(RemoteError, ConnectionError):
    """No server answers at the address."""


class DeadlineExceededError(RemoteError, TimeoutError):
    """A call took longer than its deadline."""


class NotSupportedByServerError(RemoteError, NotImplementedError):
    """The server is too old for this call."""


class InternalServerError(RemoteError):
    """The server failed in a way it did not expect."""

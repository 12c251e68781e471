using System.IO.Pipelines;
using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>
/// One live box. Commands may run side by side. A box that died answers <see cref="ExecOutcome.Lost"/> from then on.
/// The caller freezes it when it has nothing to do; <see cref="ExecAsync"/> and the file calls thaw it first.
/// </summary>
public interface ISandbox
{
    string Id { get; }

    Task<ExecOutcome> ExecAsync(ExecRequest request, CancellationToken cancellationToken);

    /// <summary>Starts a command on a terminal. While it is open the box stays thawed, whatever its owner asks.</summary>
    Task<TerminalOutcome> OpenTerminalAsync(TerminalRequest request, CancellationToken cancellationToken);

    /// <summary>Reads at most <paramref name="maxBytes"/> of a workspace file from the inside.</summary>
    Task<FileReadOutcome> ReadFileAsync(string path, int maxBytes, CancellationToken cancellationToken);

    /// <summary>Writes a workspace file from the inside, whole or not at all; makes the folders above it.</summary>
    Task<FileWriteOutcome> WriteFileAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken);

    Task<FileListOutcome> ListFilesAsync(string path, int maxEntries, CancellationToken cancellationToken);

    /// <summary>Stops every process of the box at a few milliseconds' cost. Idempotent.</summary>
    Task FreezeAsync(CancellationToken cancellationToken);

    Task ThawAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Saves the workspace: freezes the box, stores what is new, and answers the root once all of it is durable.
    /// Leaves the box frozen.
    /// </summary>
    Task<WorkspaceSaveOutcome> SaveWorkspaceAsync(CancellationToken cancellationToken);

    /// <summary>Puts the workspace back to a saved state, killing whatever still runs in the box beside the guest agent.</summary>
    Task<Failure?> RestoreWorkspaceAsync(WorkspaceRoot? root, CancellationToken cancellationToken);

    /// <summary>
    /// Keeps the box on disk and ends it. Refused while a terminal or a file call is open, while a command still reads
    /// its input, and where the provider cannot.
    /// </summary>
    Task<CheckpointOutcome> CheckpointAsync(CheckpointMark mark, CancellationToken cancellationToken);

    /// <summary>Of a restored box: goes on with a command that was under way, from what it writes after the checkpoint. Each once.</summary>
    Task<ExecOutcome> ResumeExecAsync(uint command, ExecRequest request, CancellationToken cancellationToken);

    /// <summary>
    /// For somebody beside the owner. Until it is disposed of, the box stays thawed whatever its owner asks, and no
    /// checkpoint is taken; with the last one the box is frozen, unless something of its owner is under way.
    /// </summary>
    IAsyncDisposable Visit();

    Task<SandboxStats> StatsAsync(CancellationToken cancellationToken);

    /// <summary>Ends the box and answers when processes, mounts, cgroups and folders are verified gone. Idempotent.</summary>
    Task DestroyAsync();
}

/// <param name="Command">Program and arguments; never a shell line of ours.</param>
/// <param name="Directory">Working directory, below the workspace unless absolute.</param>
/// <param name="Timeout">After it the command's process group is killed and the outcome says so.</param>
/// <param name="MaxOutputBytes">Bound of each stream; head and tail are kept with the count of what was cut.</param>
public sealed record ExecRequest(
    IReadOnlyList<string> Command,
    string? Directory,
    IReadOnlyDictionary<string, string> Environment,
    ReadOnlyMemory<byte> Input,
    TimeSpan Timeout,
    int MaxOutputBytes)
{
    /// <summary>Standard input as it comes, in the place of <see cref="Input"/>; its end is the input's. Whoever writes waits while the command reads nothing.</summary>
    public PipeReader? Feed { get; init; }

    /// <summary>Gets everything as it comes, also what is cut from the outcome. A slow one slows the command down.</summary>
    public Func<OutputChunk, CancellationToken, ValueTask>? Observe { get; init; }
}

/// <param name="Bytes">Valid until the observer's return.</param>
public readonly record struct OutputChunk(bool IsError, ReadOnlyMemory<byte> Bytes);

public abstract record ExecOutcome
{
    /// <param name="ExitCode">128 + the signal where a signal ended it.</param>
    public sealed record Exited(int ExitCode, BoundedOutput Output, BoundedOutput Error, TimeSpan Duration) : ExecOutcome;

    /// <summary>Killed at its time limit; what it had written until then is there.</summary>
    public sealed record TimedOut(BoundedOutput Output, BoundedOutput Error) : ExecOutcome;

    /// <summary>The command could not be started (no such program, no such directory).</summary>
    public sealed record NotStarted(Failure Failure) : ExecOutcome;

    /// <summary>The box is gone: memory or process limit, a broken protocol, or killed from outside.</summary>
    public sealed record Lost(Failure Failure) : ExecOutcome;
}

/// <summary>Output with its middle cut out when it was longer than allowed.</summary>
/// <param name="TotalBytes">What was written, also where part of it was cut.</param>
public sealed record BoundedOutput(ReadOnlyMemory<byte> Head, ReadOnlyMemory<byte> Tail, long TotalBytes)
{
    public long CutBytes => TotalBytes - Head.Length - Tail.Length;
}

public abstract record FileReadOutcome
{
    public sealed record Found(ReadOnlyMemory<byte> Content, long TotalBytes) : FileReadOutcome;

    /// <summary>No such file, a directory, outside the workspace, no permission.</summary>
    public sealed record Refused(Failure Failure) : FileReadOutcome;

    public sealed record Lost(Failure Failure) : FileReadOutcome;
}

public abstract record FileWriteOutcome
{
    public sealed record Written : FileWriteOutcome;

    public sealed record Refused(Failure Failure) : FileWriteOutcome;

    public sealed record Lost(Failure Failure) : FileWriteOutcome;
}

public abstract record FileListOutcome
{
    public sealed record Listed(IReadOnlyList<FileEntry> Entries, bool More) : FileListOutcome;

    public sealed record Refused(Failure Failure) : FileListOutcome;

    public sealed record Lost(Failure Failure) : FileListOutcome;
}

/// <param name="Kind"><c>file</c>, <c>directory</c>, <c>link</c>, <c>other</c>.</param>
public sealed record FileEntry(string Name, string Kind, long Size);

public abstract record WorkspaceSaveOutcome
{
    public sealed record Saved(WorkspaceRoot Root) : WorkspaceSaveOutcome;

    public sealed record Failed(Failure Failure) : WorkspaceSaveOutcome;
}

/// <param name="Cpu">Of all its processes since its start, those of the sandbox's own kernel included.</param>
public sealed record SandboxStats(long MemoryBytes, TimeSpan Cpu, int Processes)
{
    /// <summary>The part of <see cref="Cpu"/> that its own kernel used, also while nothing happens in it; 0 where it has none that can be told apart.</summary>
    public TimeSpan KernelCpu { get; init; }

    /// <summary>Read and written by its processes since its start, in files, pipes and sockets, without what only wakes threads; 0 where the host does not tell.</summary>
    public long IoBytes { get; init; }

    /// <summary>Written by its commands since its start, also where it was cut.</summary>
    public long OutputBytes { get; init; }
}

using System.Text.Json;
using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>What a live sandbox does.</summary>
[JsonConverter(typeof(WordConverter<SandboxState>))]
public enum SandboxState
{
    /// <summary>Its processes may run.</summary>
    Running = 1,
    /// <summary>It has nothing to do and uses no processor.</summary>
    Frozen = 2,
    /// <summary>Started in advance, for no run yet.</summary>
    Ready = 3,
}

/// <param name="Run">Whose it is; <c>null</c> for one that stands ready, and for a fork.</param>
/// <param name="Image">Digest of what it sees as its root.</param>
/// <param name="CpuSeconds">Of all its processes since its start, those of the sandbox's own kernel included.</param>
public sealed record SandboxView(
    string Id, string Provider, string? Run, long Epoch, SandboxState State, string Image, DateTimeOffset Made, long MemoryBytes, double CpuSeconds, int Processes)
{
    /// <summary>Of a fork: what it went on from.</summary>
    public SandboxOriginView? Origin { get; init; }
}

/// <param name="Snapshot"><c>null</c> where it was forked from a live box at once.</param>
/// <param name="Run">Whose box that was; <c>null</c> where it was nobody's.</param>
/// <param name="Seq">Where that run's journal stood.</param>
public sealed record SandboxOriginView(string? Snapshot, string Box, string? Run, long Seq);

public sealed record SandboxesView(IReadOnlyList<SandboxView> Sandboxes)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <param name="Size">Boxes kept ready of each sort that was asked for lately.</param>
/// <param name="Waiting">Runs that wait for room on the host.</param>
public sealed record SandboxPoolView(int Size, int Waiting, IReadOnlyList<SandboxShelfView> Shelves)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <param name="DiskBytes">Size of the workspace.</param>
public sealed record SandboxShelfView(string Provider, string Image, long DiskBytes, int Ready);

/// <param name="Command">Program and arguments; no shell reads them.</param>
/// <param name="Directory">Below the workspace unless absolute.</param>
/// <param name="TimeoutSeconds">After it the command is killed. Default 120, most 86,400.</param>
/// <param name="Stdin">Its whole standard input, in base64; without it the command reads nothing.</param>
public sealed record SandboxExecRequest(
    IReadOnlyList<string> Command, string? Directory = null, IReadOnlyDictionary<string, string>? Environment = null, double? TimeoutSeconds = null, byte[]? Stdin = null)
{
    /// <summary>The most that <see cref="Stdin"/> may have: it travels within one request.</summary>
    public const int MaxStdinBytes = 4 << 20;
}

/// <summary>A line of the answer to an exec: output as it comes, and in the end how the command ended.</summary>
/// <param name="Stdout">In base64: output is bytes.</param>
/// <param name="ExitCode">128 + the signal where a signal ended it.</param>
public sealed record SandboxExecEvent(byte[]? Stdout = null, byte[]? Stderr = null, int? ExitCode = null, bool TimedOut = false, Failure? Failure = null);

/// <param name="Live">Whether it holds processes and memory beside the files.</param>
/// <param name="Run">Whose box it was taken of; <c>null</c> where it was nobody's.</param>
/// <param name="Seq">Where that run's journal stood.</param>
/// <param name="Root">Content address of the saved workspace; <c>null</c> for a live one.</param>
/// <param name="Bytes">What a live one takes of the server's disk.</param>
public sealed record SandboxSnapshotView(string Id, bool Live, string Box, string? Run, long Seq, string? Root, long? Bytes, DateTimeOffset Made)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

public sealed record SandboxSnapshotsView(IReadOnlyList<SandboxSnapshotView> Snapshots)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>A text frame of a shell's client: its terminal's size has changed. Binary frames are the terminal's bytes.</summary>
public sealed record SandboxShellSize(ushort Rows, ushort Columns);

/// <summary>How a shell ended: the reason of the close frame, which has room for 123 bytes.</summary>
/// <param name="ExitCode">128 + the signal where a signal ended it.</param>
/// <param name="Code">Why there is no exit code.</param>
public sealed record SandboxShellEnd(int? ExitCode = null, string? Code = null);

/// <summary>What a copy into or out of a box may be at most.</summary>
public static class SandboxCopyLimits
{
    public const int Entries = 10_000;

    public const long Bytes = 256L << 20;

    /// <summary>Of one file on its way in.</summary>
    public const long FileBytes = 64L << 20;

    public const string ArchiveType = "application/x-tar";

    /// <summary>Header of a file on its way out: its permission bits, octal.</summary>
    public const string ModeHeader = "Caisson-File-Mode";
}

/// <summary>Answer of <c>POST /v1/workspaces</c>.</summary>
/// <param name="Root">For <see cref="CreateRunRequest.Workspace"/>.</param>
public sealed record SavedWorkspaceView(string Root);

/// <summary>The shapes of the verbs about boxes.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SandboxesView))]
[JsonSerializable(typeof(SandboxPoolView))]
[JsonSerializable(typeof(SandboxExecRequest))]
[JsonSerializable(typeof(SandboxExecEvent))]
[JsonSerializable(typeof(SandboxSnapshotView))]
[JsonSerializable(typeof(SandboxSnapshotsView))]
[JsonSerializable(typeof(SavedWorkspaceView))]
[JsonSerializable(typeof(SandboxShellSize))]
[JsonSerializable(typeof(SandboxShellEnd))]
public sealed partial class SandboxJson : JsonSerializerContext;

using Caisson.Contracts;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Protocol;

/// <summary>What the guest's error numbers mean to the one who called.</summary>
internal static class GuestErrors
{
    /// <summary>Of a box whose files nobody serves any more: a part of it has died, and the rest is about to.</summary>
    public static Failure? Dying(uint error) =>
        error == Libc.Eio ? new Failure(ErrorCodes.SandboxLost, "the box cannot reach its files any more", Retryable: true) : null;

    public static Failure NoProcess(uint error) => new(ErrorCodes.SandboxPids, $"the box can start no further process ({Text(error)}); raise sandbox.pids or start fewer");

    public static Failure File(string path, uint error) => (int)error switch
    {
        Libc.Enospc or Libc.Edquot => new(ErrorCodes.SandboxDisk, $"'{path}': the workspace is full; raise sandbox.diskBytes or remove files"),
        Libc.Exdev => new(ErrorCodes.NotAllowed, $"'{path}' is outside the workspace"),
        Libc.Eloop => new(ErrorCodes.NotAllowed, $"'{path}' leads over a link; links are not followed"),
        Libc.Eacces or Libc.Eperm => new(ErrorCodes.NotAllowed, $"'{path}': no permission"),
        Libc.Enoent => new(ErrorCodes.ToolArguments, $"'{path}': no such file"),
        Libc.Eisdir => new(ErrorCodes.ToolArguments, $"'{path}' is a directory"),
        // A link in the middle of a path answers this too: as a component it must be a directory.
        Libc.Enotdir => new(ErrorCodes.ToolArguments, $"'{path}' leads over something that is no directory"),
        Libc.Enametoolong => new(ErrorCodes.ToolArguments, $"'{path}' is too long"),
        Libc.Einval => new(ErrorCodes.ToolArguments, $"'{path}' is no regular file"),
        _ => new(ErrorCodes.ToolArguments, $"'{path}': {Text(error)}"),
    };

    public static Failure Start(IReadOnlyList<string> command, string? directory, uint error, char what) => what switch
    {
        'f' => NoProcess(error),
        'd' => new(ErrorCodes.ToolArguments, $"working directory '{directory}': {Text(error)}"),
        _ => new(ErrorCodes.ToolArguments, $"'{command[0]}': {Text(error)}"),
    };

    internal static string Text(uint error) => System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage((int)error);
}

using Caisson.Contracts;

namespace Caisson.Sandboxes.Boxes;

/// <summary>Why a limit ended a box.</summary>
internal static class BoxVerdicts
{
    public static Failure OutOfMemory { get; } =
        new(ErrorCodes.SandboxOom, "the box needed more memory than it may have; raise sandbox.memory or use less");

    public static Failure OutOfProcesses { get; } =
        new(ErrorCodes.SandboxPids, "the box needed more processes than it may have; raise sandbox.pids or start fewer");
}

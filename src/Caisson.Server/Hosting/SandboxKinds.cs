using Caisson.Sandboxes.Boxes;

namespace Caisson.Server.Hosting;

/// <summary>The kinds of boxes that a server tries, the strongest first: a run gets the first that meets its floor.</summary>
internal static class SandboxKinds
{
    internal static IReadOnlyList<BoxProvider> On(BoxHost host) =>
    [
        BoxProvider.MicroVm(host),
        BoxProvider.GVisor(host),
        BoxProvider.Bubblewrap(host),
    ];
}

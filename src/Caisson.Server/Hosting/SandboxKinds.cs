using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Server.Hosting;

/// <summary>The kinds of boxes that a server tries, in the order in which a run takes the first that is strong enough.</summary>
internal static class SandboxKinds
{
    internal static IReadOnlyList<ISandboxProvider> On(BoxHost host) =>
    [
        BoxProvider.GVisor(host),
    ];
}

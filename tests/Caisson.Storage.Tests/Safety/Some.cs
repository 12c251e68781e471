using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Safety;

/// <summary>Small things of the right kind.</summary>
internal static class Some
{
    internal static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly SystemIds Ids = new(TimeProvider.System);

    internal static NewRun Run(DateTimeOffset at, string text = "{}", string tenant = "default") =>
        new(new RunId(Ids.NextRun()), "agent", null, "hash", at, new JournalDraft(EntryKind.RunCreated, Encoding.UTF8.GetBytes(text)),
            new RunSummary { Detail = text }, null, null)
        { Tenant = tenant };

    internal static NodeRegistration Node() => new(new NodeId(Ids.NextRandom()), "host", "boot", 1, 1);

    internal static Guid Id() => Ids.NextRandom();
}

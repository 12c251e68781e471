using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>A store under test.</summary>
public interface IStoreHost : IAsyncDisposable
{
    IRunStore Store { get; }

    IRunReader Reader { get; }

    INodeStore Nodes { get; }

    /// <summary>Closes the store and opens it again, as the next process does.</summary>
    Task ReopenAsync();

    /// <summary>The waste ledger of a run, which no port shows yet.</summary>
    Task<IReadOnlyList<WasteRow>> WasteAsync(RunId run);
}

public sealed record WasteRow(string StepKey, long Epoch, long NanoUsd, long Tokens, string Cause);

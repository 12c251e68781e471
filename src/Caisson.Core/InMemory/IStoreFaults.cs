using Caisson.Contracts;

namespace Caisson.Core.InMemory;

/// <summary>Where a test lets a store's write be slow, fail before it did anything, or lose its answer after it did everything.</summary>
internal interface IStoreFaults
{
    /// <param name="operation">The port's word for it, as <c>append</c>.</param>
    /// <param name="run">The run that is written, where there is one.</param>
    ValueTask BeforeAsync(string operation, RunId? run);

    /// <summary>Called after the change is there for everybody and before the caller knows.</summary>
    ValueTask AfterCommitAsync(string operation, RunId? run);
}

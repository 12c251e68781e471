using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>One record of a run, as stored.</summary>
/// <param name="Seq">From 1, without gaps.</param>
/// <param name="Body">JSON of the kind's <see cref="EntryBody"/>.</param>
/// <param name="Payload">A step's result where it is small; <c>null</c> where there is none or it is a blob.</param>
/// <param name="Blob">Address of the result where it is large.</param>
public sealed record JournalEntry(
    long Seq,
    long Epoch,
    DateTimeOffset At,
    EntryKind Kind,
    string Scope,
    string? Key,
    int Attempt,
    ReadOnlyMemory<byte> Body,
    ReadOnlyMemory<byte>? Payload,
    string? Blob)
{
    /// <summary>Its <see cref="JournalChain"/> hash as stored; empty where the entry was written before there was one.</summary>
    public ReadOnlyMemory<byte> Chain { get; init; }
}

/// <summary>An entry before the store has given it a place.</summary>
public sealed record JournalDraft(
    EntryKind Kind,
    ReadOnlyMemory<byte> Body,
    string Scope = "",
    string? Key = null,
    int Attempt = 0,
    ReadOnlyMemory<byte>? Payload = null,
    string? Blob = null)
{
    /// <summary>When it happened, where that is not the time of the write: entries that a fork brings along.</summary>
    public DateTimeOffset? At { get; init; }

    /// <summary>Results up to this size stand in the journal itself, larger ones are blobs.</summary>
    public const int InlineBytes = 8 * 1024;
}

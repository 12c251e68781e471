using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>The one place where entries are written. Each carries the hash of itself and of the one before it.</summary>
internal sealed class JournalRows(SqliteConnection connection, SealedColumns columns) : IDisposable
{
    private const int BodyVersion = 1;

    private readonly Statement _insert = new(connection, """
        INSERT INTO journal (run, seq, epoch, at, kind, scope, key, attempt, append_id, schema, body, payload, blob, chain)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
        """, 14);

    /// <summary>The chain's head with this entry at its end.</summary>
    internal static byte[] Next(byte[]? head, RunId run, long seq, long epoch, DateTimeOffset at, JournalDraft draft) =>
        JournalChain.Next(head, run, new JournalEntry(seq, epoch, draft.At ?? at, draft.Kind, draft.Scope, draft.Key, draft.Attempt, draft.Body, draft.Payload, draft.Blob));

    /// <param name="row">Key of the run's row; <paramref name="run"/> is its id and <paramref name="tenant"/> its tenant.</param>
    internal void Insert(long row, RunId run, string tenant, long seq, long epoch, DateTimeOffset at, byte[] appendId, JournalDraft draft, byte[] chain) =>
        _insert.Run(row, seq, epoch, RunWrites.Ms(draft.At ?? at), (int)draft.Kind, draft.Scope, draft.Key, draft.Attempt, appendId, BodyVersion,
            columns.Seal(tenant, SealedColumns.Body(run, seq), draft.Body), columns.Seal(tenant, SealedColumns.Payload(run, seq), draft.Payload), draft.Blob,
            columns.Seal(tenant, SealedColumns.Chain(run, seq), chain));

    public void Dispose() => _insert.Dispose();
}

namespace Caisson.Core.Journal;

/// <summary>SHA-256 over length-prefixed fields, so that no two lists of fields run together.</summary>
public static class StepHash
{
    public static string Of(params ReadOnlySpan<string> fields)
    {
        var hash = new HashFields(512);
        try
        {
            foreach (var field in fields)
                hash.Add(field);
            return hash.HexHash();
        }
        finally
        {
            hash.Dispose();
        }
    }

    /// <summary>The next link of a chain: costs only what is new.</summary>
    public static string Chain(string head, ReadOnlySpan<byte> next)
    {
        var hash = new HashFields(head.Length + next.Length + 32);
        try
        {
            hash.Add(head);
            hash.Add(next);
            return hash.HexHash();
        }
        finally
        {
            hash.Dispose();
        }
    }
}

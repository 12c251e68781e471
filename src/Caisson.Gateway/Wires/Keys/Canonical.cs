using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Wires.Keys;

/// <summary>
/// Writes JSON so that equal meaning is equal bytes: members sorted, texts unescaped and with their length before them,
/// numbers as written. With rules it leaves out what may differ at its level.
/// </summary>
internal sealed class Canonical(int level, Volatiles? volatiles)
{
    // Shorter numbers are no times.
    private const int ShortestTime = 13;

    private readonly ArrayBufferWriter<byte> _bytes = new(4096);

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    /// <summary>Hash of one value with nothing left out.</summary>
    public static string HashOf(JsonElement element)
    {
        var canonical = new Canonical(0, null);
        canonical.Write(element, []);
        return StepHash.Chain("", canonical.Written);
    }

    public void Clear() => _bytes.ResetWrittenCount();

    public void Write(JsonElement element, ScrubNode[] rules)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(element, rules, []);
                break;
            case JsonValueKind.Array:
                Tag('[');
                foreach (var item in element.EnumerateArray())
                    Write(item, ScrubNode.Element(rules, item));
                Tag(']');
                break;
            case JsonValueKind.String:
                var text = element.GetString()!;
                Text('s', volatiles is null ? text : volatiles.Scrub(text));
                break;
            case JsonValueKind.Number:
                var number = element.GetRawText();
                Text('n', volatiles is null || number.Length < ShortestTime ? number : volatiles.Scrub(number));
                break;
            default:
                Tag((char)('0' + (int)element.ValueKind));
                break;
        }
    }

    /// <param name="without">Members that are told elsewhere.</param>
    public void WriteObject(JsonElement element, ScrubNode[] rules, IReadOnlyList<string> without)
    {
        Tag('{');
        foreach (var member in element.EnumerateObject().Where(m => !without.Contains(m.Name)).OrderBy(m => m.Name, StringComparer.Ordinal))
        {
            var below = ScrubNode.Member(rules, member.Name);
            var rule = below.Length == 0 ? Scrub.Keep : below.Max(n => n.Rule);
            if (rule == Scrub.DropAlways || (rule == Scrub.DropHints && level >= 1))
                continue;
            Text('k', member.Name);
            if (rule == Scrub.Result && level >= 3)
                Tag('r');
            else if (rule == Scrub.Alias && volatiles is not null && member.Value.Text() is { } id)
                Text('s', volatiles.Stand("id", id));
            else
                Write(member.Value, below);
        }

        Tag('}');
    }

    private void Tag(char tag)
    {
        _bytes.GetSpan(1)[0] = (byte)tag;
        _bytes.Advance(1);
    }

    private void Text(char tag, string text)
    {
        var length = Encoding.UTF8.GetByteCount(text);
        var span = _bytes.GetSpan(1 + sizeof(int) + length);
        span[0] = (byte)tag;
        BinaryPrimitives.WriteInt32LittleEndian(span[1..], length);
        Encoding.UTF8.GetBytes(text, span[(1 + sizeof(int))..]);
        _bytes.Advance(1 + sizeof(int) + length);
    }
}

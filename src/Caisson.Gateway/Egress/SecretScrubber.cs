using System.Text;

namespace Caisson.Gateway.Egress;

/// <summary>
/// Puts stars over a secret in what comes back, in every form that servers commonly echo: as it is, percent-encoded,
/// as JSON, as base64 at any place. Stars of the same number, so that lengths stay true. Works on a stream: what may be
/// the beginning of a secret is held back until more has come.
/// </summary>
internal sealed class SecretScrubber
{
    private const byte Star = (byte)'*';
    private const int ShortestForm = 6;

    private readonly IReadOnlyList<byte[]> _forms;
    private byte[] _raw = [];
    private byte[] _shown = [];

    internal SecretScrubber(ReadOnlySpan<byte> secret)
    {
        var text = Encoding.ASCII.GetString(secret);
        HashSet<string> forms = [text, Uri.EscapeDataString(text), LowerEscapes(Uri.EscapeDataString(text)), System.Text.Json.JsonEncodedText.Encode(text).ToString(),
            text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal), text.Replace("/", "\\/", StringComparison.Ordinal)];
        for (var before = 0; before < 3; before++)
        {
            var base64 = Inner(secret, before);
            forms.Add(base64);
            forms.Add(base64.Replace('+', '-').Replace('/', '_'));
        }

        _forms = [.. forms.Where(f => f.Length >= ShortestForm).Select(Encoding.ASCII.GetBytes)];
    }

    /// <summary>What may be shown by now.</summary>
    internal byte[] Next(ReadOnlySpan<byte> more)
    {
        _raw = [.. _raw, .. more];
        _shown = [.. _shown, .. more];
        foreach (var form in _forms)
        {
            for (var at = 0; _raw.AsSpan(at).IndexOf(form) is >= 0 and var found; at += found + 1)
                _shown.AsSpan(at + found, form.Length).Fill(Star);
        }

        return Show(_raw.Length - _forms.Max(form => Begun(form)));
    }

    /// <summary>The rest, when nothing more comes.</summary>
    internal byte[] Last() => Show(_raw.Length);

    internal string Text(string value)
    {
        var bytes = Next(Encoding.Latin1.GetBytes(value));
        return Encoding.Latin1.GetString([.. bytes, .. Last()]);
    }

    /// <summary>How many bytes at the end may be the beginning of this form.</summary>
    private int Begun(byte[] form)
    {
        for (var length = Math.Min(form.Length - 1, _raw.Length); length > 0; length--)
        {
            if (_raw.AsSpan(_raw.Length - length).SequenceEqual(form.AsSpan(0, length)))
                return length;
        }

        return 0;
    }

    private byte[] Show(int count)
    {
        var shown = _shown[..count];
        (_raw, _shown) = (_raw[count..], _shown[count..]);
        return shown;
    }

    /// <summary>The characters of base64 that depend on the secret alone, with so many bytes before it.</summary>
    private static string Inner(ReadOnlySpan<byte> secret, int before)
    {
        var base64 = Convert.ToBase64String([.. new byte[before], .. secret]);
        return base64[((before * 8 + 5) / 6)..((before + secret.Length) * 8 / 6)];
    }

    private static string LowerEscapes(string text)
    {
        var lower = text.ToCharArray();
        for (var i = 0; i + 2 < lower.Length; i++)
        {
            if (lower[i] == '%')
                (lower[i + 1], lower[i + 2]) = (char.ToLowerInvariant(lower[i + 1]), char.ToLowerInvariant(lower[i + 2]));
        }

        return new string(lower);
    }
}

using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Caisson.Core.Egress;

/// <summary>
/// A host as rules compare it: in lower case, punycode, without a dot at its end. An address has one spelling here,
/// however it was written: whoever reads <c>0x7f.1</c> as a name would look it up, and connect to the machine itself.
/// </summary>
/// <param name="Address">Where it is an address and no name.</param>
public sealed record HostName(string Name, IPAddress? Address)
{
    private const int MaxName = 253;
    private const int MaxLabel = 63;
    private static readonly SearchValues<char> Hex = SearchValues.Create("0123456789abcdef");
    private static readonly SearchValues<char> LettersOfV6 = SearchValues.Create("0123456789abcdefABCDEF:.");
    private static readonly IdnMapping Idn = new() { UseStd3AsciiRules = true, AllowUnassigned = false };

    /// <summary><c>null</c> for what is neither a name nor an address. Brackets around an IPv6 address are taken off; zones are refused.</summary>
    public static HostName? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length is 0 or > 300)
            return null;
        if (text.Contains(':', StringComparison.Ordinal))
            return V6(text);
        if (ToAscii(text) is not { } ascii)
            return null;
        var labels = ascii.Split('.');

        // Every resolver takes a name that ends in a number for an address of version 4, in one of its old spellings.
        if (LooksNumeric(labels[^1]))
            return V4(labels) is { } address ? new HostName(address.ToString(), address) : null;
        return ascii.Length <= MaxName && labels.All(IsLabel) ? new HostName(ascii, null) : null;
    }

    private static string? ToAscii(string text)
    {
        if (text.All(char.IsAscii))
            return Bare(text.ToLowerInvariant());

        // Other digits and other dots are written for one thing only: to be taken for something else.
        if (text.Any(c => !char.IsAscii(c) && !char.IsLetter(c) && char.GetUnicodeCategory(c) is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark)))
            return null;
        try
        {
            return Bare(Idn.GetAscii(text).ToLowerInvariant());
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    /// <summary>One dot at the end means the root, and names the same host.</summary>
    private static string? Bare(string name)
    {
        var bare = name.EndsWith('.') ? name[..^1] : name;
        return bare.Length == 0 ? null : bare;
    }

    private static bool IsLabel(string label) =>
        label.Length is > 0 and <= MaxLabel && label[0] != '-' && label[^1] != '-' && label.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');

    private static bool LooksNumeric(string label) =>
        label.Length > 0 && (label.All(char.IsAsciiDigit) || (label.StartsWith("0x", StringComparison.Ordinal) && label.AsSpan(2).IndexOfAnyExcept(Hex) < 0));

    private static HostName? V6(string text)
    {
        var inner = text is ['[', .. var between, ']'] ? between : text;
        if (inner.AsSpan().IndexOfAnyExcept(LettersOfV6) >= 0 || !IPAddress.TryParse(inner, out var address) || address.AddressFamily != AddressFamily.InterNetworkV6)
            return null;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return new HostName(address.ToString(), address);
    }

    /// <summary>One to four parts, each decimal, octal or hexadecimal; the last one fills what is left.</summary>
    private static IPAddress? V4(string[] parts)
    {
        if (parts.Length > 4)
            return null;
        var value = 0UL;
        for (var i = 0; i < parts.Length; i++)
        {
            var last = i == parts.Length - 1;
            if (Number(parts[i]) is not { } number || number >= (last ? 1UL << (8 * (5 - parts.Length)) : 256UL))
                return null;
            value |= last ? number : number << (8 * (3 - i));
        }

        return new IPAddress([(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value]);
    }

    private static ulong? Number(string text)
    {
        var (digits, radix) = text switch
        {
            "" => ("", 10),
            ['0', 'x', .. var hex] => (hex.Length == 0 ? "0" : hex, 16),
            ['0', .. var octal] when octal.Length > 0 => (octal, 8),
            _ => (text, 10),
        };
        var value = 0UL;
        foreach (var c in digits)
        {
            var digit = char.IsAsciiHexDigit(c) ? Convert.ToInt32(c.ToString(), 16) : radix;
            if (digit >= radix || (value = value * (ulong)radix + (ulong)digit) > uint.MaxValue)
                return null;
        }

        return digits.Length == 0 ? null : value;
    }
}

namespace Caisson.Gateway.Wires;

/// <summary>
/// What media can cost beyond their bytes. Text is never more tokens than bytes. Pictures are billed by size and not by
/// content, and one of a single colour has few bytes, so each counts as what the dearest known model makes of it. Sound
/// as WAV or MP3 has at least ten bytes for each token, silence too. A document or a video may be a thousand pages in a
/// few kilobytes: it counts as what the longest context takes.
/// </summary>
internal static class MediaBounds
{
    private const long Picture = 12_000;

    // Bills a picture as 33 times what it is, so that it costs the same as on the large model.
    private const long PictureOnMini = 40_000;

    private const long Longest = 1_000_000;

    public static long Image(string model) => model.Contains("4o-mini", StringComparison.Ordinal) ? PictureOnMini : Picture;

    /// <summary>How many times what is counted for one model another one may take.</summary>
    public static long Factor(string counted, string other) => (Image(other) + Image(counted) - 1) / Image(counted);

    public static long Sound(string? format) => format is "wav" or "mp3" or "audio/wav" or "audio/mp3" or "audio/mpeg" ? 0 : Longest;

    /// <summary>A document or a video; plain text is its bytes.</summary>
    public static long Other(string? mediaType) => mediaType?.StartsWith("text/", StringComparison.Ordinal) == true ? 0 : Longest;

    /// <summary>Of an address that holds the data itself, what they are; <c>null</c> of one that somebody would have to fetch.</summary>
    public static string? InlineType(string? url)
    {
        if (url is null || !url.StartsWith("data:", StringComparison.OrdinalIgnoreCase))
            return null;
        var end = url.AsSpan().IndexOfAny(';', ',');
        return end < 0 ? null : url[5..end];
    }

    public static long Of(string mediaType, string model) =>
        mediaType.StartsWith("image/", StringComparison.OrdinalIgnoreCase) ? Image(model)
        : mediaType.StartsWith("audio/", StringComparison.OrdinalIgnoreCase) ? Sound(mediaType)
        : Other(mediaType);
}

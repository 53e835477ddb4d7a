"""What becomes of each file of ../shared/hostile: the first words of its verdict (see mutants.py), then their names."""

VERDICTS = {
    "read": """
        dwm_valid_2_misc.mid | jazz_2-tracks-type-0.mid | jazz_2-tracks-type-1.mid | jazz_all-gm-percussion.mid
        jazz_all-gm-sounds.mid | jazz_all-xg-sounds.mid | jazz_c-major-scale.mid
        jazz_control-00-20-bank-select.mid | jazz_control-40-damper.mid | jazz_corrupt-file-extra-byte.mid
        jazz_empty.mid | jazz_gm2-doggy-78-00-38-4c.mid | jazz_illegal-message-all.mid
        jazz_illegal-message-f1-xx.mid | jazz_illegal-message-f2-xx-xx.mid | jazz_illegal-message-f3-xx.mid
        jazz_illegal-message-f4.mid | jazz_illegal-message-f5.mid | jazz_illegal-message-f6.mid
        jazz_illegal-message-fe.mid | jazz_karaoke-kar.mid | jazz_multichannel-chords-0.mid
        jazz_multichannel-chords-2.mid | jazz_multichannel-chords-3.mid | jazz_non-midi-track.mid
        jazz_note-on-velocity.mid | jazz_rpn-00-00-pitch-bend-range.mid | jazz_running-status-metaevent.mid
        jazz_running-status-sysex.mid | jazz_silence-all-notes-off.mid | jazz_silence-end-of-track.mid
        jazz_silence-text-metaevent.mid | jazz_smpte-offset.mid | jazz_sysex-7e-06-01-id-request.mid
        jazz_sysex-7e-09-01-gm1-enable.mid | jazz_sysex-7f-04-03-master-fine-tuning.mid
        jazz_sysex-7x-08-0x-scale-tuning.mid | jazz_sysex-gs-40-1x-15-drum-part-change.mid
        jazz_track-length.mid | jazz_vlq-2-byte.mid | jazz_vlq-3-byte.mid | jazz_vlq-4-byte.mid
        jazz_xg-doggy-40-00-30.mid | made/-leading-dash.mid | made/16_channels_one_track.mid | made/UPPER.MID
        made/alien_chunk_first.mid | made/all_128_pitches.mid | made/bitrot_0.mid | made/bitrot_1.mid
        made/bitrot_2.mid | made/bitrot_4.mid | made/bitrot_5.mid | made/bitrot_6.mid | made/bitrot_7.mid
        made/claims1_has3.mid | made/claims5_has1.mid | made/claims_65535_tracks.mid | made/cluster_88.mid
        made/dense_200k_notes.mid | made/div_1.mid | made/div_32767.mid | made/drums_only.mid
        made/events_after_eot.mid | made/format_9.mid | made/good.mid | made/hanging_notes.mid
        made/header_len_10.mid | made/huge_delta_before_eot.mid | made/keysig_bad.mid | made/leading_junk.mid
        made/macbinary_128.mid | made/many_tracks_2000.mid | made/name with  spaces.mid | made/no_eot.mid
        made/noext | made/note_200.mid | made/off_before_on_same_tick.mid | made/off_without_on.mid
        made/overlap_same_pitch.mid | made/riff.rmi | made/riff_named.mid | made/running_status.mid
        made/short_triplets_64ths.mid | made/sysex_no_end.mid | made/tempo_20000.mid | made/tempo_len2.mid
        made/tempo_zero.mid | made/text_1MB.mid | made/text_invalid.mid | made/text_latin1.mid
        made/text_sjis.mid | made/text_utf16.mid | made/timesig_0_4.mid | made/timesig_den_2pow200.mid
        made/track_len_4GB.mid | made/track_len_short.mid | made/track_len_zero.mid | made/trailing_html.mid
        made/trailing_junk.mid | made/two_files_concatenated.mid | made/velocity_255.mid
        made/weird.karaoke.kar | made/zero_length_notes.mid | made/zero_tracks_empty_trk.mid
        made/ünïcödé näme — 曲.mid | muspy_empty.mid | muspy_key-signatures.mid | muspy_multichannel.mid
        muspy_multiple-copyrights.mid | muspy_multitrack.mid | muspy_single-track-single-channel.mid
        muspy_tempos.mid | muspy_time-signatures.mid | nfr_MIDIBadFormat1.mid | nfr_MIDIBadHeaderFormat.mid
        nfr_MIDIBadHeaderLength.mid | nfr_MIDIBadHeaderTracksNum.mid | nfr_MIDIBadTrackLength.mid
        nfr_MIDIOkFormat0.mid | nfr_MIDIOkFormat1-lyrics.mid | nfr_MIDIOkFormat1.mid | tonejs_pitchBendTest.mid
    """,
    "damaged: track 1 breaks off at an event of 65535 bytes, of which 5 are there": """
        made/sysex_len_past_end.mid
    """,
    "damaged: track 1 breaks off at an event without a status": """
        made/crlf_mangled.mid
    """,
    "damaged: track 1 breaks off at the end of its bytes, in the midst of an event": """
        jazz_corrupt-file-missing-byte.mid
    """,
    "damaged: track 2 breaks off at the end of its bytes, in the midst of an event": """
        made/trunc_1of4.mid | made/trunc_2of4.mid | made/trunc_3of4.mid | made/trunc_last_byte.mid
    """,
    "refused: MIDI type 2 (independent patterns) is not supported": """
        dwm_valid_0_small.mid | dwm_valid_1_small.mid | jazz_2-tracks-type-2.mid | muspy_type2.mid
        nfr_MIDIOkFormat2.mid
    """,
    "refused: damaged MIDI file (no track)": """
        made/header_only.mid | muspy_ticks-per-beat-480.mid | nfr_MIDIBadTrackHdr.mid
    """,
    "refused: damaged MIDI file (track 1 breaks off at a number of more than four bytes)": """
        made/vlq_5_bytes.mid
    """,
    "refused: damaged MIDI file (track 1 breaks off at an event of 65535 bytes, of which 79 are there)": """
        made/text_len_past_end.mid
    """,
    "refused: damaged MIDI file (track 1 breaks off at an event without a status)": """
        made/high_bit_stripped.mid | made/random_after_header.mid | made/running_status_none.mid
    """,
    "refused: damaged MIDI file (track 2 breaks off at an event without a status)": """
        made/bitrot_3.mid
    """,
    "refused: has no ticks per quarter note (SMPTE time)": """
        made/div_ffff.mid | made/div_smpte_25_40.mid | made/div_smpte_30_80.mid | made/div_zero.mid
        muspy_negative-ticks-per-beat.mid | muspy_zero-ticks-per-beat.mid | nfr_MIDIBadHeaderSMTPE.mid
    """,
    "refused: lasts 400000 steps": """
        made/note_of_100000_beats.mid
    """,
    "refused: lasts 6710896 steps": """
        made/huge_delta.mid
    """,
    "refused: not a MIDI file": """
        jazz_c-major-scale-m1-g0.midi2 | jazz_not-a-midi-file.mid | jazz_not-a-midi-file.midi2
        jazz_syx-7e-06-01-id-request.syx | made/gzip.mid | made/half_header.mid | made/html_404.mid
        made/png.mid | made/random_4k.mid | made/text.mid | nfr_MIDIBadHeaderChunk.mid
    """,
    "refused: the file is empty": """
        jazz_empty-file.mid | jazz_empty-file.midi2 | made/zero_bytes.mid
    """,
}

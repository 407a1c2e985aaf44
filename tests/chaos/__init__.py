"""Proves that the sync service is never silently deaf: every act and every fault, at random."""
